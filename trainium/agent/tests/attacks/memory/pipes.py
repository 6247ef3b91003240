# expect: success
# tries: to keep memory in pipes: the kernel lets a user have 64 MiB there and then little
import fcntl
held, sent = [], 0
for _ in range(2000):
    try:
        pipe = os.pipe()
    except OSError:
        break
    held.append(pipe)
    try:
        fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, MIB)
    except OSError:
        pass
    os.set_blocking(pipe[1], False)
    try:
        while True:
            sent += os.write(pipe[1], b"x" * 65536)
    except BlockingIOError:
        pass
if sent > 600 * MIB:
    escaped(f"{sent // MIB} MiB in pipes")
