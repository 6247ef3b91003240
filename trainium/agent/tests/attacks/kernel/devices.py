# expect: success
# tries: to open every device that it can see
harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
for folder, _, names in os.walk("/dev"):
    if folder.startswith(("/dev/shm", "/dev/pts", "/dev/fd", "/dev/mqueue")):
        continue
    for name in names:
        path = os.path.join(folder, name)
        if name in harmless or name.startswith("neuron") or os.path.islink(path):
            continue
        attempt(path, os.open, path, os.O_RDONLY | os.O_NONBLOCK)
for path in "/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/loop0", "/dev/vda":
    attempt(path, os.open, path, os.O_RDONLY | os.O_NONBLOCK)
