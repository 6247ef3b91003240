"""Servers that fail as package registries and companies' proxies do.

Argument: where `certificate.pem` is. Prints a line with the ports of these servers on 127.0.0.1, then
serves until standard input ends:
- `company`: a proxy that answers for every host with its company's certificate, and has nothing for those who
  trust it;
- `refusing`: a proxy that wants a password;
- `short`: a registry whose files end early;
- `wrong`: a registry whose files are other ones.
Both registries have every package of pip's simple index and every artifact of a Maven repository.
"""

import http.server
import json
import re
import ssl
import sys
import threading

WHEEL = '<a href="/files/{0}-{1}-py3-none-any.whl">{0}</a>'
# The first requirement, which pip asks for first.
FIRST = ("botocore", sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


class Company(Handler):
    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        try:
            with context.wrap_socket(self.connection, server_side=True) as trusted:
                trusted.recv(65536)
                trusted.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except OSError:
            pass
        self.close_connection = True


class Refusing(Handler):
    def do_CONNECT(self):
        self.send_error(407)


class Registry(Handler):
    def do_GET(self):
        page = re.fullmatch(r"/simple/([^/]+)/", self.path)
        if page:
            version = FIRST[1] if page[1] == FIRST[0] else "0"
            self.answer(WHEEL.format(page[1], version).encode())
        else:
            self.file()


class Short(Registry):
    def file(self):
        self.answer(b"x" * 1000, length=100_000)


class Wrong(Registry):
    def file(self):
        self.answer(b"not what was asked for")


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


print(json.dumps({kind.__name__.lower(): serve(kind) for kind in [Company, Refusing, Short, Wrong]}), flush=True)
sys.stdin.read()
