# expect: success
# tries: to reach a unix socket of the machine that has no file
import socket
link = socket.socket(socket.AF_UNIX)
attempt("an abstract socket", link.connect, "\0" + HOST["abstract"])
