# expect: program_error
# tries: to take the limits of its first process down to nothing, so that it fails in the program's place
# result: return_code=3
import resource
for pid in {1, os.getppid(), HOST["agent"], HOST["neighbour"], *others()} - {os.getpid()}:
    for name in "AS", "DATA", "STACK", "NOFILE", "CPU", "FSIZE", "NPROC", "CORE":
        limit = getattr(resource, f"RLIMIT_{name}")
        try:
            resource.prlimit(pid, limit, (0, 0))
        except (OSError, ValueError):
            continue
        escaped(f"{name} of process {pid}")
for _ in range(200):
    pid = os.fork()
    if pid == 0:
        try:
            os.fork()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
sys.exit(3)
