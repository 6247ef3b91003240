# expect: success
# tries: to end every process that it may signal
import signal
for number in signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP:
    try:
        os.kill(-1, number)
    except OSError:
        pass
print("still here")
