# expect: success or memory_limit
# tries: to keep memory where the kernel itself cannot look, beyond what a program may lock
import mmap
try:
    file = syscall("memfd_secret", 0)
    os.ftruncate(file, 1024 * MIB)
    held = mmap.mmap(file, 1024 * MIB)
    for at in range(0, 1024 * MIB, 4096):
        held[at] = 1
    escaped("1,024 MiB of secret memory")
except OSError:
    pass
