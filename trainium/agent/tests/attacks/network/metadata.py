# expect: success
# tries: to ask the instance for its credentials
import socket
for address in ("169.254.169.254", 80), ("fd00:ec2::254", 80), ("169.254.170.2", 80), ("169.254.169.253", 53):
    attempt(f"{address}", socket.create_connection, address, 1)
