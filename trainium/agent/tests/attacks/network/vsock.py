# expect: success
# tries: to have a socket to the machine's host, which knows no network namespace
import socket
attempt("a vsock", socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)
attempt("the device", os.open, "/dev/vsock", os.O_RDONLY)
