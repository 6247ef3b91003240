# expect: success
# tries: to leave a process that becomes another one faster than anybody could end it
if os.fork() == 0:
    os.setsid()
    while True:
        try:
            if os.fork() != 0:
                os._exit(0)
        except OSError:
            pass
