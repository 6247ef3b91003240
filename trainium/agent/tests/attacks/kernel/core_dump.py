# expect: program_error
# tries: to leave an image of its memory on the machine
# result: return_code=null
# says: signal 6
import resource
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
if hard:
    escaped(f"core dumps of {hard} bytes")
attempt("where they go", os.open, "/proc/sys/kernel/core_pattern", os.O_WRONLY)
libc.prctl(4, 1, 0, 0, 0)
os.abort()
