# expect: memory_limit
# tries: to have the kernel's tables take what the pages do not
import mmap
held = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
held.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, 1 << 40, 2 * MIB):
    held[at] = 1
escaped("524,288 pages with a table each")
