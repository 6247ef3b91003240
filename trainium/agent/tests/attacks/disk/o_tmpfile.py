# expect: disk_limit
# tries: to fill files that never had a name
held = []
for number in range(300):
    file = os.fdopen(os.open(".", os.O_TMPFILE | os.O_RDWR), "wb", buffering=0)
    held.append(file)
    left = MIB
    while left:
        left -= file.write(b"x" * left)
escaped("300 MiB that never had a name")
