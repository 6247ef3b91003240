# expect: success
# tries: to run before everybody else, and to have everybody else run after it
attempt("nice", os.setpriority, os.PRIO_PROCESS, 0, -10)
attempt("real time", os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(10))
attempt("round robin", os.sched_setscheduler, 0, os.SCHED_RR, os.sched_param(10))
for pid in HOST["agent"], HOST["neighbour"]:
    if pid != os.getpid():
        attempt(f"nice of {pid}", os.setpriority, os.PRIO_PROCESS, pid, 19)
