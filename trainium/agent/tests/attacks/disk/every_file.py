# expect: success
# tries: to change any file that it can see outside its own folders
own = [os.path.realpath(path) for path in (os.getcwd(), os.environ["TMPDIR"], "/dev/shm", "/tmp", "/var/tmp")]
for top in "/etc", "/usr/bin", "/usr/lib/python3", "/run", os.environ["PYTHONPATH"], os.environ["DATASETS_DIR"]:
    for folder, folders, names in os.walk(top):
        if os.path.realpath(folder) in own:
            folders.clear()
            continue
        for path in (os.path.join(folder, name) for name in names):
            if os.path.isfile(path):
                attempt(f"open {path}", os.open, path, os.O_WRONLY | os.O_APPEND)
