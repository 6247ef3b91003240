# expect: success
# tries: to read what is the machine's, the agent's or a person's
for path in ("/etc/shadow", "/etc/passwd", "/etc/hostname", "/etc/machine-id", "/etc/ssh", "/root", "/home", "/var/log",
             "/var/lib", "/run/secrets", "/boot", "/proc/kcore", "/proc/kmsg", "/proc/keys",
             "/proc/kallsyms", "/proc/sysrq-trigger", HOST["state"], HOST["folder"], HOST["secret"],
             HOST["state"] + "/runs", HOST["state"] + "/lock"):
    try:
        if os.path.isdir(path):
            seen = os.listdir(path)
        else:
            with open(path, "rb") as file:
                seen = file.read(64)
    except OSError:
        continue
    # A list of addresses that are all nought says nothing, and no key is no secret.
    if seen and not (path == "/proc/kallsyms" and seen.startswith(b"0000000000000000")):
        escaped(f"{path}: {seen!r:.80}")
