# expect: success
# tries: nothing bad: it reserves a terabyte and uses none of it, as runtimes of accelerators do
import mmap
held = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
held[1 << 39] = 1
