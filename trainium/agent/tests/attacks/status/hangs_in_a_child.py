# expect: timeout
# tries: to wait where a process cannot be woken: for a child that shares its memory and does not become another
# time: 2
CLONE_VM, CLONE_VFORK, SIGCHLD = 0x100, 0x4000, 17
stack = ctypes.create_string_buffer(65536)
sleep = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: time.sleep(3600) or 0)
top = ctypes.c_void_p((ctypes.addressof(stack) + 65536) & ~15)
c("clone", sleep, top, CLONE_VFORK | SIGCHLD, None)
time.sleep(3600)
