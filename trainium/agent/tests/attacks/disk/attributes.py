# expect: success or disk_limit or memory_limit
# tries: to keep 300 MiB in the attributes of files
kept = 0
try:
    for number in range(5_000):
        open(f"{number}", "w").close()
        os.setxattr(f"{number}", "user.x", b"x" * 60_000)
        kept += 60_000
except OSError as error:
    print(error)
if kept > 200 * MIB:
    escaped(f"{kept // MIB} MiB in attributes")
