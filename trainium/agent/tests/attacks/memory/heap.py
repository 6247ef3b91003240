# expect: memory_limit
# tries: to use a gigabyte
held = []
for _ in range(1024):
    held.append(b"x" * MIB)
escaped("1,024 MiB of heap")
