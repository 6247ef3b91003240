# expect: success
# tries: to have a socket of a family that a program has no use for
import socket
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
for family in range(2, 48):
    if family in (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK):
        continue
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW:
        for protocol in 0, 1:
            attempt(f"a socket of family {family}", socket.socket, family, kind, protocol)
