# expect: disk_limit
# tries: to write files of a mebibyte until it may no longer
# open: until a run's files are on a file system of their own size
for number in range(300):
    with open(f"{number}", "wb") as file:
        file.write(b"x" * MIB)
escaped("300 MiB of files")
