# expect: success or output_limit
# tries: to have a process that it left print on after its end
if os.fork() == 0:
    os.setsid()
    while True:
        os.write(1, b"x" * 100)
time.sleep(0.05)
os._exit(0)
