# expect: success
# tries: to read and write memory of its first process by system call
class Part(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("length", ctypes.c_size_t)]


buffer = ctypes.create_string_buffer(8)
mine = Part(ctypes.addressof(buffer), 8)
for pid in {1, os.getppid(), *others()} - {os.getpid()}:
    for name in "process_vm_readv", "process_vm_writev":
        # Where it were allowed, the address that is nobody's would be EFAULT.
        theirs = Part(0x10000, 8)
        try:
            c(name, pid, ctypes.byref(mine), ctypes.c_ulong(1), ctypes.byref(theirs), ctypes.c_ulong(1), ctypes.c_ulong(0))
        except OSError as error:
            if error.errno not in (errno.EFAULT,):
                continue
        escaped(f"{name} of {pid}")
