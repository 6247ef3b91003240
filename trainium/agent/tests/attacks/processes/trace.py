# expect: success
# tries: to take over its first process and everybody else's
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
libc.ptrace.restype = ctypes.c_long
for pid in {1, os.getppid(), HOST["agent"], HOST["neighbour"], *others()} - {os.getpid()}:
    for request in PTRACE_SEIZE, PTRACE_ATTACH:
        attempt(f"ptrace {request:#x} of {pid}", c, "ptrace", ctypes.c_long(request), pid, None, None)
