# expect: disk_limit
# tries: to have the limit twice, once in its folder and once in the one for temporary files
for folder in ".", os.environ["TMPDIR"]:
    with open(f"{folder}/file", "wb") as file:
        for _ in range(60):
            file.write(b"x" * MIB)
escaped("twice 60 MiB")
