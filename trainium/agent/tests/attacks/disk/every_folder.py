# expect: success
# tries: to write into every folder that it can see
own = [os.path.realpath(path) for path in (os.getcwd(), os.environ["TMPDIR"], "/dev/shm", "/tmp", "/var/tmp")]
skipped = ("/proc", "/sys")
for folder, folders, names in os.walk("/"):
    if folder in skipped or os.path.realpath(folder) in own:
        folders.clear()
        continue
    path = os.path.join(folder, "annapurna-attack")
    attempt(f"a file in {folder}", os.open, path, os.O_CREAT | os.O_WRONLY)
