# expect: program_error
# tries: to pass a signal off as something else
# each: 1 2 3 4 6 8 9 11 13 14 15 24 25 34 40 50 64
# result: return_code=null
# says: signal EACH
import signal
number = int(EACH)
if number not in (signal.SIGKILL,):
    signal.signal(number, signal.SIG_DFL)
os.kill(os.getpid(), number)
time.sleep(5)
