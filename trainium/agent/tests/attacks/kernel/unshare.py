# expect: success
# tries: to have namespaces of its own, in which it would have every capability
# each: NEWUSER NEWNS NEWNET NEWPID NEWIPC NEWUTS NEWCGROUP NEWTIME NEWUSER|NEWNS|NEWNET
FLAGS = {"NEWUSER": 0x10000000, "NEWNS": 0x00020000, "NEWNET": 0x40000000, "NEWPID": 0x20000000,
         "NEWIPC": 0x08000000, "NEWUTS": 0x04000000, "NEWCGROUP": 0x02000000, "NEWTIME": 0x80}
flags = sum(FLAGS[name] for name in EACH.split("|"))
attempt(f"unshare {EACH}", c, "unshare", flags)
