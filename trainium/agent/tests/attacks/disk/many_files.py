# expect: disk_limit
# tries: to write files of a mebibyte until it may no longer
for number in range(300):
    with open(f"{number}", "wb") as file:
        file.write(b"x" * MIB)
escaped("300 MiB of files")
