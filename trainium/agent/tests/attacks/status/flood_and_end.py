# expect: output_limit
# tries: to print too much and to end before anybody looks
os.write(1, b"x" * 65536 * 48)
for _ in range(48):
    os.write(1, b"x" * 65536)
os._exit(0)
