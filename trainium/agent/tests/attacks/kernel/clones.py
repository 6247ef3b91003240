# expect: success
# tries: to have a child with namespaces of its own, by both calls that can make one
import struct
CLONE_NEWUSER, SIGCHLD = 0x10000000, 17


def by_clone():
    pid = syscall("clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return pid


def by_clone3():
    words = struct.pack("8Q", CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0)
    pid = syscall("clone3", ctypes.c_char_p(words), len(words))
    if pid == 0:
        os._exit(0)
    return pid


attempt("clone", by_clone)
attempt("clone3", by_clone3)
