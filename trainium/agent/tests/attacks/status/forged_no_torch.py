# expect: program_error
# tries: to pass its own failure off as a fault of the machine, after which it would run again and again
# result: return_code=1
sys.stderr.write("ModuleNotFoundError: No module named 'torch'\n")
sys.exit(1)
