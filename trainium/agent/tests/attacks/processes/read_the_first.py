# expect: success
# tries: to read what /proc tells of its first process and of every other
for pid in others():
    for name in "environ", "mem", "maps", "auxv", "io", "syscall", "stack", "pagemap", "timers":
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                text = b"opened" if name in ("mem", "pagemap") else file.read(100)
        except OSError:
            continue
        if text:
            escaped(f"/proc/{pid}/{name}: {text[:40]!r}")
    for name in "fd", "fdinfo", "map_files":
        attempt(f"/proc/{pid}/{name}", os.listdir, f"/proc/{pid}/{name}")
    for name in "root", "cwd", "exe":
        attempt(f"/proc/{pid}/{name}", os.readlink, f"/proc/{pid}/{name}")
