# expect: success
# tries: to mount a file system of memory in namespaces of its own and to fill it with 1,000 MiB
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
try:
    c("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    os.mkdir("mine")
    c("mount", b"none", b"mine", b"tmpfs", 0, b"size=2g")
    escaped("a mount of its own")
    with open("mine/file", "wb") as file:
        for _ in range(1000):
            file.write(b"x" * MIB)
    escaped("1,000 MiB in it")
except OSError as error:
    print(error)
