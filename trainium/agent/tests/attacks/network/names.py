# expect: success
# tries: to carry something out in the name it looks up
import socket
for name in "example.com", "annapurna-attack.amazonaws.com":
    attempt(f"the address of {name}", socket.getaddrinfo, name, 80)
for server in "8.8.8.8", "1.1.1.1", "10.0.0.2":
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    attempt(f"a question to {server}", link.sendto, b"\0\1\1\0\0\1\0\0\0\0\0\0\0\0\1\0\1", (server, 53))
