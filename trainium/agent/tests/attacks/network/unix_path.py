# expect: success
# tries: to reach unix sockets of the machine by their files
import socket
for path in HOST["unix"], "/run/systemd/private", "/run/dbus/system_bus_socket", "/var/run/docker.sock", "/run/systemd/notify":
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        link = socket.socket(socket.AF_UNIX, kind)
        attempt(f"the socket {path}", link.connect, path)
