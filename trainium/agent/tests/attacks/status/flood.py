# expect: output_limit
# tries: to fill the agent's memory by one of its streams
# each: 1 2
while True:
    os.write(int(EACH), b"a line that says nothing\n" * 1000)
