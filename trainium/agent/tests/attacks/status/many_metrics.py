# expect: success
# tries: to make a result that is too large for anybody
for number in range(10_000):
    print("METRICS:", '{"name%d": "%s"}' % (number, "x" * 500 if number < 1000 else ""))
