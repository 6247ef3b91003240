# expect: success or disk_limit or timeout
# time: 5
# tries: to leave 50,000 folders in each other, deeper than any stack
for _ in range(50_000):
    os.mkdir("d")
    os.chdir("d")
