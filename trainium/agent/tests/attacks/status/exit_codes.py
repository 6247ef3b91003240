# expect: program_error
# tries: to pass an exit code off as a signal or as a fault of the sandbox
# each: 1 2 124 125 126 127 128 129 137 139 143 159 160 255
# result: return_code=EACH
os._exit(int(EACH))
