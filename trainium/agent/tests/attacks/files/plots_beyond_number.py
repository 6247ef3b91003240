# expect: success
# tries: to keep the agent busy with ten thousand plots
for number in range(10_000):
    try:
        open(f"{number}.png", "wb").write(b"x")
    except OSError:
        break
