# expect: denied
# tries: to hide that the kernel ended it for a system call: the signal says so
# result: return_code=null
# says: signal 31
import signal
os.kill(os.getpid(), signal.SIGSYS)
