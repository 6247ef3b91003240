# expect: disk_limit
# tries: to fill files that have no name any more
held = []
for number in range(300):
    file = open("file", "wb", buffering=0)
    os.unlink("file")
    held.append(file)
    left = MIB
    while left:
        left -= file.write(b"x" * left)
escaped("300 MiB without a name")
