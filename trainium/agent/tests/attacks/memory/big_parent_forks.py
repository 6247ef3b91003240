# expect: success
# tries: nothing bad: six children of a process of 300 MiB read what they share with it
held = [b"x" * MIB for _ in range(300)]


def work():
    assert sum(block[0] for block in held) == 120 * 300
    time.sleep(0.5)


workers = [child(work) for _ in range(6)]
assert all(os.waitpid(pid, 0)[1] == 0 for pid in workers)
