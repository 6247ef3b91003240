# expect: success
# tries: to handle page faults of the kernel, which makes its races easy
for flags in 0, 1:
    attempt(f"userfaultfd {flags}", syscall, "userfaultfd", flags)
attempt("its device", os.open, "/dev/userfaultfd", os.O_RDWR)
