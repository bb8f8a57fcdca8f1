"""The way out for containers of the tests' engine, whose networks lead nowhere: a proxy for HTTPS on this machine."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_IDLE = 120  # seconds


class _Caller(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        method, target, _ = self.rfile.readline(8192).decode("latin-1").split(" ", 2)
        while self.rfile.readline(8192).strip():
            pass
        host, _, port = target.rpartition(":")
        if (method, port) != ("CONNECT", "443"):
            self.wfile.write(b"HTTP/1.1 405 Only HTTPS goes through here\r\n\r\n")
            return
        with socket.create_connection((host, 443), timeout=30) as there:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            other = {self.connection: there, there: self.connection}
            with contextlib.suppress(OSError):
                while ready := select.select(list(other), [], [], _IDLE)[0]:
                    for each in ready:
                        piece = each.recv(1 << 16)
                        if not piece:
                            return
                        other[each].sendall(piece)


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def egress(address: str) -> Iterator[str]:
    """The proxy's URL. ``address``: of this machine, where containers reach it."""
    with _Proxy((address, 0), _Caller) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://{address}:{proxy.server_address[1]}"
        proxy.shutdown()
