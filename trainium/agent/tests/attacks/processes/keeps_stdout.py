# expect: success
# tries: to have the agent wait for a stream that a left process holds
if os.fork() == 0:
    os.setsid()
    time.sleep(3600)
print("done", flush=True)
