# expect: success
# tries: nothing bad: it reads 600 MiB of the system's files, whose pages are nobody's memory
read = 0
for folder, _, names in os.walk("/usr"):
    for name in names:
        path = os.path.join(folder, name)
        if read < 600 * MIB and os.path.isfile(path) and not os.path.islink(path):
            try:
                with open(path, "rb") as file:
                    while block := file.read(MIB):
                        read += len(block)
            except OSError:
                pass
print(read // MIB)
