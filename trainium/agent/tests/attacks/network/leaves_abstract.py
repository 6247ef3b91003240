# expect: success
# tries: to leave a unix socket without a file for the next program
# runs: 2
import socket
link = socket.socket(socket.AF_UNIX)
attempt("the socket of an earlier run", link.connect, "\0annapurna-attack")
own = socket.socket(socket.AF_UNIX)
own.bind("\0annapurna-attack")
own.listen()
if os.fork() == 0:
    os.setsid()
    time.sleep(3600)
