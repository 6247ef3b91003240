# expect: memory_limit or disk_limit
# tries: to keep 1,000 MiB in /dev/shm
for number in range(20):
    with open(f"/dev/shm/{number}", "wb") as file:
        for _ in range(50):
            file.write(b"x" * MIB)
escaped("1,000 MiB in /dev/shm")
