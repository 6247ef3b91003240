# expect: success
# tries: to write into its first process by /proc
def write(path):
    return os.write(os.open(path, os.O_WRONLY), b"0\n")


for pid in others():
    attempt(f"/proc/{pid}/mem", os.open, f"/proc/{pid}/mem", os.O_RDWR)
    for name in "oom_score_adj", "coredump_filter", "timerslack_ns", "clear_refs", "comm", "sched", "autogroup":
        attempt(f"/proc/{pid}/{name}", write, f"/proc/{pid}/{name}")
