# expect: disk_limit
# tries: to make 300,000 names of one file
open("file", "w").close()
for number in range(300_000):
    os.link("file", f"{number}")
escaped("300,000 names")
