# expect: success
# tries: to have or to get a privilege
said = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
    if int(said[name], 16):
        escaped(f"{name} {said[name]}")
if said["NoNewPrivs"] != "1":
    escaped("new privileges may be had")
if said["Seccomp"] != "2":
    escaped("no filter of system calls")
if 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid()):
    escaped("it is root")
if set(os.getgroups()) - {os.getgid(), 65534}:
    escaped(f"groups {os.getgroups()}")
