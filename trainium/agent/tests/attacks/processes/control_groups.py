# expect: success
# tries: to leave its control group or to change its limits
import glob
for path in glob.glob("/sys/fs/cgroup/**", recursive=True)[:5000]:
    if os.path.isdir(path):
        attempt(f"a group in {path}", os.mkdir, f"{path}/annapurna-attack")
    else:
        attempt(f"open {path}", os.open, path, os.O_WRONLY)
