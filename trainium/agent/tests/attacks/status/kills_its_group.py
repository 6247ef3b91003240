# expect: program_error
# tries: to end whoever is in its process group
# result: return_code=null
# says: signal 9
os.killpg(0, 9)
time.sleep(5)
