# expect: success
# tries: to have the kernel's ciphers, whose faults have given root before
import socket
attempt("AF_ALG", socket.socket, socket.AF_ALG, socket.SOCK_SEQPACKET)
