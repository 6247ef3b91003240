# expect: success
# tries: to leave names that are no text, or too long for a path
folder = os.open(".", os.O_RDONLY)
for name in b"\xff\xfe", b"a\nb", b"\x1b[2J", b"-rf", b"--", b" ", b"x" * 255, b"\xff" * 251 + b".png", b"a\n.png":
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=folder))
for _ in range(40):
    os.mkdir(b"\xe4" * 255)
    os.chdir(b"\xe4" * 255)
