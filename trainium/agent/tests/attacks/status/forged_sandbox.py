# expect: program_error
# tries: to pass its own failure off as one of the launcher's
# each: 1 125
# result: return_code=EACH
sys.stderr.write("sandbox: cannot start `python3`\nbwrap: Can't make a namespace\n")
sys.stderr.flush()
os._exit(int(EACH))
