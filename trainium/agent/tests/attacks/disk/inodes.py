# expect: disk_limit
# tries: to make 300,000 empty files
for number in range(300_000):
    os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY))
escaped("300,000 files")
