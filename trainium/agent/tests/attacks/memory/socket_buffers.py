# expect: memory_limit
# tries: to keep 900 MiB in what was sent through sockets and never read, in ten processes
import socket


def fill(number):
    more_files()
    held = []
    sent = 0
    block = b"x" * 65536
    try:
        while sent < 90 * MIB:
            pair = socket.socketpair()
            held.append(pair)
            pair[0].setblocking(False)
            pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            try:
                while True:
                    sent += pair[0].send(block)
            except BlockingIOError:
                pass
    except OSError:
        pass
    print(number, sent // MIB, flush=True)
    time.sleep(20)


children = [child(lambda: fill(number)) for number in range(10)]
for pid in children:
    os.waitpid(pid, 0)
escaped("unread data of ten processes")
