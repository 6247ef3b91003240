# expect: success
# tries: to be a process of another kind
for kind in 0x0040000, 0x0400000, 0x0020000, 0x0008:
    libc.personality(ctypes.c_ulong(kind))
print(os.uname())
