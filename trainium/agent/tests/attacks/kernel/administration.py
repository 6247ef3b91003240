# expect: success
# tries: what only an administrator may: swap, quotas, accounts, names, modules, clocks, ports
import struct
open("swap", "wb").write(b"\0" * 4096)
attempt("swapon", c, "swapon", b"swap", 0)
attempt("acct", c, "acct", b"swap")
attempt("a host name", c, "sethostname", b"attack", 6)
attempt("a domain", c, "setdomainname", b"attack", 6)
attempt("the clock", time.clock_settime, time.CLOCK_REALTIME, time.time())
attempt("settimeofday", c, "settimeofday", ctypes.c_char_p(struct.pack("2q", int(time.time()), 0)), None)
attempt("a module", syscall, "init_module", ctypes.c_char_p(b"x"), 1, ctypes.c_char_p(b""))
attempt("kexec", syscall, "kexec_load", 0, 0, None, 0)
attempt("the kernel's log", c, "klogctl", 3, ctypes.create_string_buffer(4096), 4096)
attempt("its size", c, "klogctl", 10, None, 0)
attempt("quotas", c, "quotactl", 0x80000700, b"/", 0, ctypes.create_string_buffer(256))
attempt("fanotify of the machine", c, "fanotify_init", 4, 0)
attempt("hang up", c, "vhangup")
if not ARM:
    attempt("ports", c, "iopl", 3)
    attempt("a port", c, "ioperm", ctypes.c_ulong(0x80), ctypes.c_ulong(1), 1)
