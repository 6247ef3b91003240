# expect: success
# tries: to change any setting of the kernel
def write_back(path):
    """Writes what is there, so that a kernel that takes it is left as it was; what cannot be read is only opened."""
    file = os.open(path, os.O_WRONLY)
    try:
        with open(path, "rb") as known:
            text = known.read(4096)
    except OSError:
        return "open for writing"
    return os.write(file, text)


for top in "/proc/sys", "/proc", "/sys":
    for folder, folders, names in os.walk(top):
        if top == "/proc":
            folders[:] = [name for name in folders if not name.isdigit() and name not in ("self", "thread-self", "sys")]
        for path in (os.path.join(folder, name) for name in names):
            if not os.path.islink(path):
                attempt(path, write_back, path)
