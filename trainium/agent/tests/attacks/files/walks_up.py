# expect: success
# tries: to leave its root by the folder above, and by descriptors of folders
folder = os.open(".", os.O_RDONLY)
for _ in range(64):
    folder = os.open("..", os.O_RDONLY, dir_fd=folder)
top = set(os.listdir(folder))
if top != set(os.listdir("/")):
    escaped(f"another root: {sorted(top)}")
if top & {"root", "home", "boot", "srv", "mnt", "media"}:
    escaped(f"the machine's root: {sorted(top)}")
