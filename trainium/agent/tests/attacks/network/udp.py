# expect: success
# tries: to send what needs no answer: a datagram to the machine
import socket
for address, family in ("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6), ("255.255.255.255", socket.AF_INET):
    try:
        link = socket.socket(family, socket.SOCK_DGRAM)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # Its own loopback may take it; whether the machine's did, the table looks.
        link.sendto(b"annapurna-attack", (address, HOST["udp"]))
    except OSError:
        pass
