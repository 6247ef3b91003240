# expect: disk_limit or program_error
# tries: to reserve a gigabyte without writing it
with open("file", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, 1024 * MIB)
escaped("1,024 MiB reserved")
