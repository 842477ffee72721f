"""A web server: GET /hello says hello, POST gives back what it got. Arguments: address, port, and for TLS a folder."""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Two requests."""

    def do_GET(self):
        """Any path."""
        self._say(b"hello from " + self.path.encode())

    def do_POST(self):
        """Any path."""
        self._say(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_):
        """Say nothing."""

    def _say(self, octets):
        self.send_response(200)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)


def main(address, port, folder=None):
    server = ThreadingHTTPServer((address, int(port)), Handler)
    if folder:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/server.crt", f"{folder}/server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
