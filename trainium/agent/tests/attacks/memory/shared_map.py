# expect: memory_limit
# tries: to use a gigabyte of shared memory without a name
import mmap
held = mmap.mmap(-1, 1024 * MIB)
for at in range(0, 1024 * MIB, 4096):
    held[at] = 1
escaped("1,024 MiB shared")
