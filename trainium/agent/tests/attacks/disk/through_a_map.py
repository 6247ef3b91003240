# expect: disk_limit or program_error
# tries: to fill files by writing to memory, which the limit of a file's size does not see
import mmap
held = []
for number in range(10):
    with open(f"{number}", "w+b") as file:
        file.truncate(30 * MIB)
        held.append(mmap.mmap(file.fileno(), 30 * MIB))
    for at in range(0, 30 * MIB, 4096):
        held[-1][at] = 1
escaped("300 MiB through maps")
