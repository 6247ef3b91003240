# expect: output_limit
# tries: to fill the agent's memory by both streams at a time, without an end of line
child(lambda: [os.write(1, b"x" * 65536) for _ in range(10_000)])
while True:
    os.write(2, b"y" * 65536)
