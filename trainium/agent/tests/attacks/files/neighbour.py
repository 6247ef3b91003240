# expect: success
# tries: to find the files of the program that runs beside it
import glob
own = {os.stat(".").st_ino, os.stat(os.environ["TMPDIR"]).st_ino}
for top in "/tmp", "/var/tmp", "/dev/shm", "/program", "/run", HOST["state"], os.getcwd() + "/../..", "/proc/1/cwd":
    for folder, folders, names in os.walk(top):
        for name in names:
            if name == "neighbour-file":
                escaped(f"{folder}/{name}")
