# expect: success
# tries: to learn of the machine's network, devices and packet filters by netlink
import socket
try:
    names = {name for _, name in socket.if_nameindex()}
except OSError:
    names = set()
if names - {"lo"}:
    escaped(f"interfaces {names}")
for protocol in range(1, 23):
    try:
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        link.bind((0, 0xFFFFFFFF))
    except OSError:
        continue
    link.settimeout(0.05)
    attempt(f"a message of netlink {protocol}", link.recv, 4096)
