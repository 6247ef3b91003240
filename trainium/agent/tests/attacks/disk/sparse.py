# expect: success
# tries: to make a file that looks like a terabyte
try:
    with open("file", "wb") as file:
        file.truncate(1 << 40)
except OSError as error:
    print(error)
