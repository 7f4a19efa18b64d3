"""The public side of the tunnels of the simulated cloudflared and ngrok."""

from __future__ import annotations

import socket
import socketserver
import threading
from urllib.parse import urlsplit


class _Connection(socketserver.BaseRequestHandler):
    """One connection to the public port, passed on byte for byte."""

    server: ByteForwarder

    def handle(self) -> None:
        """Copy in both directions until both ends are closed."""
        with socket.create_connection(self.server.origin) as origin:
            pump = threading.Thread(target=_copy, args=(self.request, origin))
            pump.start()
            _copy(origin, self.request)
            pump.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source is closed."""
    while chunk := source.recv(65536):
        sink.sendall(chunk)
    sink.shutdown(socket.SHUT_WR)


class ByteForwarder(socketserver.ThreadingTCPServer):
    """Forwards every byte from its own port on 127.0.0.1 to a URL, until the process ends."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self.origin = (at.hostname or "", at.port or 80)
        super().__init__(("127.0.0.1", 0), _Connection)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
