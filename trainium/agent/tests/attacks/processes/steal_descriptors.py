# expect: success
# tries: to copy descriptors of its first process, among them the one that its end is told by
for pid in {1, os.getppid(), *others()} - {os.getpid()}:
    try:
        handle = syscall("pidfd_open", pid, 0)
    except OSError:
        continue
    for number in range(32):
        attempt(f"descriptor {number} of {pid}", syscall, "pidfd_getfd", handle, number, 0)
