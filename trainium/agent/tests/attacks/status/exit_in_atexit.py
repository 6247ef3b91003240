# expect: success
# tries: to end twice: what Python does at the end does not change its exit code
import atexit
atexit.register(sys.exit, 3)
