# expect: disk_limit
# tries: to write a file of 300 MiB
with open("file", "wb") as file:
    for _ in range(300):
        file.write(b"x" * MIB)
escaped("a file of 300 MiB")
