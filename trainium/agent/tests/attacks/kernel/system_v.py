# expect: success
# tries: to leave System V and POSIX objects of the kernel for the next run
# runs: 2
IPC_CREAT, key = 0o1000, 0x0A77AC77
for name, arguments in ("shmget", (ctypes.c_size_t(4096),)), ("semget", (1,)), ("msgget", ()):
    make = getattr(libc, name)
    if make(key, *arguments, 0) >= 0:
        escaped(f"{name} of an earlier run")
    make(key, *arguments, IPC_CREAT | 0o666)
if libc.mq_open(b"/annapurna-attack", os.O_RDWR) >= 0:
    escaped("a queue of an earlier run")
libc.mq_open(b"/annapurna-attack", os.O_RDWR | os.O_CREAT, 0o666, None)
