# expect: success or memory_limit
# tries: to keep System V memory that outlives it, without a process that has it
IPC_CREAT = 0o1000
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
for number in range(20):
    part = libc.shmget(0x0A77AC00 + number, ctypes.c_size_t(50 * MIB), IPC_CREAT | 0o666)
    if part < 0:
        sys.exit(0)
    place = libc.shmat(part, None, 0)
    ctypes.memset(place, 1, 50 * MIB)
    libc.shmdt(ctypes.c_void_p(place))
escaped("1,000 MiB in System V segments")
