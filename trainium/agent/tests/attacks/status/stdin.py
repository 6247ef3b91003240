# expect: success
# tries: to read from its standard input, or to write to it
assert sys.stdin.read() == ""
attempt("write to standard input", os.write, 0, b'{"exited":0}\n')
