# expect: success
# tries: to end the agent and its neighbour by their numbers outside
import signal
for pid in HOST["agent"], HOST["neighbour"]:
    if pid != os.getpid():
        attempt(f"kill {pid}", os.kill, pid, signal.SIGKILL)
