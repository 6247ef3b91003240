# expect: success
# tries: to make refused calls as a program of another kind does: by 32-bit numbers, which a filter may not know
import mmap

CLONE_NEWUSER, KEYCTL_JOIN_SESSION_KEYRING, AF_VSOCK = 0x10000000, 1, 40


def gate(number):
    """A function that makes the 32-bit call of that number."""
    code = b"\x53\x89\xfb\x89\xf1\xb8" + number.to_bytes(4, "little") + b"\xcd\x80\x5b\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int)
    kept.append(page)
    return function(ctypes.addressof(ctypes.c_char.from_buffer(page)))


def by_gate(name, number, *arguments):
    if gate(number)(*arguments) >= 0:
        escaped(f"the 32-bit {name}")


def by_number(name, number, *arguments):
    """x32, whose numbers are those of x86-64 and a bit."""
    if libc.syscall(ctypes.c_long(0x40000000 + number), *arguments) >= 0:
        escaped(f"the x32 {name}")


kept = []
calls = [
    (by_gate, "unshare", 310, CLONE_NEWUSER, 0, 0),
    (by_gate, "keyctl", 288, KEYCTL_JOIN_SESSION_KEYRING, 0, 0),
    (by_gate, "userfaultfd", 374, 1, 0, 0),
    (by_gate, "socket", 359, AF_VSOCK, 1, 0),
    (by_number, "unshare", 272, CLONE_NEWUSER),
    (by_number, "keyctl", 250, KEYCTL_JOIN_SESSION_KEYRING, 0),
    (by_number, "userfaultfd", 323, 1),
    (by_number, "socket", 41, AF_VSOCK, 1, 0),
]
for call, *arguments in [] if ARM else calls:
    # A filter may end whoever makes such a call.
    os.waitpid(child(lambda: call(*arguments)), 0)
