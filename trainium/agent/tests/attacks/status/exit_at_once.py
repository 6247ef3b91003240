# expect: program_error
# tries: to end without Python's own end
# result: return_code=7
print("METRICS: {\"kept\": 1}", flush=True)
os._exit(7)
