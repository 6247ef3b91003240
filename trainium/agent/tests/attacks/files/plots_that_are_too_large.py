# expect: success
# tries: to have the agent read a gigabyte of nothing, and more files than it may
# plots: small.png
open("small.png", "wb").write(b"small")
for number in range(5):
    with open(f"a{number}.png", "wb") as file:
        try:
            file.truncate(1 << 30)
        except OSError:
            file.truncate(30 * MIB)
