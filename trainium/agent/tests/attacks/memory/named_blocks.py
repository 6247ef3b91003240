# expect: success
# tries: nothing bad: six workers give back blocks of 6 MiB by name, as those of a data loader do
from multiprocessing import resource_tracker, shared_memory


def work(number):
    block = shared_memory.SharedMemory(f"block{number}", create=True, size=6 * MIB)
    block.buf[:] = bytes([number]) * (6 * MIB)
    resource_tracker.unregister(block._name, "shared_memory")


workers = [child(lambda: work(number)) for number in range(6)]
assert all(os.waitpid(pid, 0)[1] == 0 for pid in workers)
for number in range(6):
    block = shared_memory.SharedMemory(f"block{number}")
    assert bytes(block.buf) == bytes([number]) * (6 * MIB)
    block.close()
    block.unlink()
