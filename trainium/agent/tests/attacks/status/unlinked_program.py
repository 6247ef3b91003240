# expect: success
# tries: to remove and replace the program that runs
path = os.path.abspath(sys.argv[0])
try:
    os.unlink(path)
    with open(path, "w") as file:
        file.write("import sys; sys.exit(5)")
except OSError as error:
    print(error)
