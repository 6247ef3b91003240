"""What every program of the table begins with; the table puts HOST and EACH before it."""
import ctypes
import errno
import os
import sys
import time

MIB = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

# Numbers of system calls that the C library has no function for, on x86-64 and on 64-bit ARM. From 424 on they are
# the same everywhere.
CALLS = {
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "kexec_load": (246, 104), "init_module": (175, 105),
    "clone": (56, 220), "io_uring_setup": (425, 425), "open_tree": (428, 428), "fsopen": (430, 430),
    "pidfd_open": (434, 434), "clone3": (435, 435), "pidfd_getfd": (438, 438), "mount_setattr": (442, 442),
    "memfd_secret": (447, 447),
}
ARM = os.uname().machine == "aarch64"


def escaped(what):
    """Says that the sandbox did not hold: the table fails on such a line."""
    print("escaped:", what, flush=True)


def attempt(what, act, *arguments):
    """Does what must be refused."""
    try:
        given = act(*arguments)
    except OSError:
        return
    escaped(f"{what}: {given!r:.100}")


def checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def c(name, *arguments):
    """A function of the C library; raises OSError where it fails."""
    return checked(getattr(libc, name)(*arguments))


def syscall(name, *arguments):
    """A system call; raises OSError where it fails."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return checked(libc.syscall(ctypes.c_long(CALLS[name][ARM]), *words))


def child(act):
    """Runs `act` in a child; gives its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    return pid


def others():
    """Process ids that are to be seen beside this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def more_files():
    """Raises the limit of open files as far as it may be; gives it."""
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
