# expect: timeout
# tries: to stop for ever, and everybody in its process group
# time: 2
import signal
os.kill(os.getpid(), signal.SIGSTOP)
