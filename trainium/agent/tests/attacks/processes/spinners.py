# expect: timeout
# tries: to take both processors with 100 processes that only count
# shares: processor
# time: 5
for _ in range(100):
    try:
        if os.fork() == 0:
            while True:
                pass
    except OSError:
        break
while True:
    pass
