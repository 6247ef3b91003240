# expect: success
# tries: nothing bad: six workers of a data loader read the same 150 MiB, which are there once
import mmap
block = mmap.mmap(-1, 150 * MIB)
block[:] = b"x" * (150 * MIB)


def work():
    total = 0
    for at in range(0, 150 * MIB, 4096):
        total += block[at]
    assert total == 120 * (150 * MIB // 4096)
    time.sleep(0.5)


workers = [child(work) for _ in range(6)]
assert all(os.waitpid(pid, 0)[1] == 0 for pid in workers)
