# expect: success
# tries: to see or to make packets of any kind
import socket
attempt("packets", socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0x0300)
attempt("packets without heads", socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, 0x0300)
attempt("ICMP", socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
attempt("raw IPv6", socket.socket, socket.AF_INET6, socket.SOCK_RAW, 58)
