# expect: success
# tries: to leave folders that their owner may not enter
for number in range(50):
    os.makedirs(f"a{number}/b/c")
    open(f"a{number}/b/c/file.png", "w").close()
    for path in f"a{number}/b/c", f"a{number}/b", f"a{number}":
        os.chmod(path, 0)
os.chmod(".", 0)
