# expect: success
# tries: to leave files that the next program of the slot finds
# runs: 2
import tempfile
for folder in ".", os.environ["TMPDIR"], os.environ["HOME"], "/tmp", "/var/tmp", "/dev/shm", tempfile.gettempdir():
    path = os.path.join(folder, "annapurna-left")
    if os.path.exists(path) and os.stat(path).st_ctime < HOST["now"]:
        escaped(f"{path} of an earlier run")
    try:
        open(path, "w").close()
    except OSError:
        pass
