# expect: success
# tries: to leave a process behind: two forks, a session of its own, all its streams closed
import signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        os.closerange(0, 1024)
        while True:
            time.sleep(1)
    os._exit(0)
os.wait()
