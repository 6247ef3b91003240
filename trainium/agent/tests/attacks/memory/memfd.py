# expect: memory_limit
# tries: to keep 1,200 MiB in files of memory, which no process has mapped
block = b"x" * MIB
for number in range(24):
    file = os.memfd_create(f"file{number}")
    for _ in range(50):
        os.write(file, block)
escaped("1,200 MiB in memfds")
