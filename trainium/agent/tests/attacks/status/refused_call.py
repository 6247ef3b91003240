# expect: denied
# tries: to hide that the kernel ended it for a system call: the signal says so
# open: until the launcher tells the program's own end
# result: return_code=null
# says: signal 31
import signal
os.kill(os.getpid(), signal.SIGSYS)
