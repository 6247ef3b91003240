# expect: success
# tries: to make device nodes where it may write
import stat
for folder in ".", os.environ["TMPDIR"], "/dev/shm":
    for kind, major, minor in (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 10, 229), (stat.S_IFBLK, 254, 0), (stat.S_IFBLK, 7, 0):
        attempt("a device", os.mknod, f"{folder}/{major}-{minor}.png", kind | 0o666, os.makedev(major, minor))
