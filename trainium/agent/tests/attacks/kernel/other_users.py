# expect: success
# tries: to become somebody else
for user in 0, 1, HOST["other_user"]:
    if user != os.getuid():
        attempt(f"setuid {user}", os.setuid, user)
        attempt(f"setresuid {user}", os.setresuid, user, user, user)
        attempt(f"setgid {user}", os.setgid, user)
        attempt(f"setfsuid {user}", lambda: checked(0 if libc.setfsuid(user) == libc.setfsuid(user) == user else -1))
attempt("setgroups", os.setgroups, [0])
words = ctypes.create_string_buffer((0x20080522).to_bytes(4, "little") + b"\0" * 4)
everything = ctypes.create_string_buffer(b"\xff" * 24)
attempt("capset", c, "capset", words, everything)
attempt("securebits", c, "prctl", 28, 1, 0, 0, 0)
open("file", "w").close()
attempt("a file of root's", os.chown, "file", 0, 0)
