# expect: success
# tries: to leave 1,500 folders in each other, more than a process may have open
for _ in range(1500):
    os.mkdir("d")
    os.chdir("d")
