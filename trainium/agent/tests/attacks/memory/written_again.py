# expect: success
# tries: nothing bad: it writes 32 MiB thirty times over, whose old pages are nobody's memory
for _ in range(30):
    with open("file", "wb") as file:
        for _ in range(32):
            file.write(b"x" * MIB)
