# expect: success
# tries: to keep something in the kernel's keyrings, where a run of the same user finds it
# runs: 2
KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SEARCH, KEYCTL_GET_PERSISTENT = 1, 10, 22
PROCESS, USER = -2, -4
user, name = ctypes.c_char_p(b"user"), ctypes.c_char_p(b"annapurna-attack")
attempt("an earlier run's key", syscall, "keyctl", KEYCTL_SEARCH, USER, user, name, 0)
attempt("add_key", syscall, "add_key", user, name, ctypes.c_char_p(b"secret"), 6, USER)
attempt("add_key for itself", syscall, "add_key", user, name, ctypes.c_char_p(b"secret"), 6, PROCESS)
attempt("a session", syscall, "keyctl", KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0)
attempt("a lasting ring", syscall, "keyctl", KEYCTL_GET_PERSISTENT, -1, PROCESS, 0, 0)
attempt("request_key", syscall, "request_key", user, name, None, PROCESS)
