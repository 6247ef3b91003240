# expect: success
# tries: to type into the terminal that the agent was started from
import fcntl
import termios
for number in 0, 1, 2:
    attempt(f"typing on {number}", fcntl.ioctl, number, termios.TIOCSTI, b"x")
attempt("the terminal", os.open, "/dev/tty", os.O_RDWR)
try:
    os.setsid()
except OSError:
    pass
attempt("the console", os.open, "/dev/console", os.O_RDWR | os.O_NONBLOCK)
