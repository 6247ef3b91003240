# expect: success
# tries: to reach a port of the machine, and the agent's own
import socket
for port in HOST["tcp"], HOST["http"]:
    for address in "127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "localhost":
        attempt(f"tcp {address}:{port}", socket.create_connection, (address, port), 1)
