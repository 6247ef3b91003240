# expect: timeout
# tries: to fork for ever in every process there is
# time: 3
while True:
    try:
        os.fork()
    except OSError:
        pass
