# expect: success
# tries: to be reached from outside: the table asks the port
import socket
own = socket.socket()
try:
    own.bind(("0.0.0.0", HOST["closed"]))
    own.listen()
    time.sleep(0.5)
except OSError as error:
    print(error)
