# expect: timeout
# tries: to fork for ever in every process there is
# open: until every run has a control group
# time: 3
while True:
    try:
        os.fork()
    except OSError:
        pass
