# expect: program_error
# tries: to end without streams
# result: return_code=3
os.closerange(0, 4096)
os._exit(3)
