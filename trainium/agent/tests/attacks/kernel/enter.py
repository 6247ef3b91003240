# expect: success
# tries: to enter namespaces that it can name
import glob
for path in glob.glob("/proc/[0-9]*/ns/*"):
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        continue
    own = os.path.exists(f"/proc/self/ns/{os.path.basename(path)}")
    if not own or os.readlink(path) != os.readlink(f"/proc/self/ns/{os.path.basename(path)}"):
        attempt(f"setns {path}", c, "setns", file, 0)
for pid in 1, os.getppid():
    try:
        handle = syscall("pidfd_open", pid, 0)
    except OSError:
        continue
    attempt(f"setns of {pid}", c, "setns", handle, 0x00020000)
