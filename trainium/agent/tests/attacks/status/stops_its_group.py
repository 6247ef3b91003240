# expect: timeout
# tries: to stop its process group for ever
# time: 2
import signal
os.killpg(0, signal.SIGSTOP)
