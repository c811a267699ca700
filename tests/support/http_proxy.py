"""A forward proxy that wants a password: CONNECT for TLS, absolute URLs for the rest. Names below ``.test`` are this machine to it:
loopback itself is never asked of a proxy.
"""

import base64
import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

USER, PASSWORD = "proxy-user", "proxy-password"


@dataclass
class HttpProxy:
    url: str = ""
    """With user and password."""
    requests: list[str] = field(default_factory=list)
    """First lines of what was asked for and allowed."""


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _serve(proxy: HttpProxy, client: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            return
        head += data
    lines = head.decode().split("\r\n")
    method, target, _ = lines[0].split(" ")
    expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    if f"Proxy-Authorization: Basic {expected}" not in lines:
        client.sendall(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        return
    proxy.requests.append(lines[0])
    netloc = target if method == "CONNECT" else urlsplit(target).netloc
    host, _, port = netloc.partition(":")
    host = "127.0.0.1" if host.endswith(".test") else host
    with socket.create_connection((host, int(port))) as server:
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            kept = [line for line in lines[1:] if not line.lower().startswith(("connection:", "proxy-"))]
            relative = target.split(netloc, 1)[1]
            server.sendall(
                "\r\n".join([f"{method} {relative} HTTP/1.1", "Connection: close", *kept]).encode()
            )
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        _pump(server, client)


@contextlib.contextmanager
def http_proxy() -> Iterator[HttpProxy]:
    proxy = HttpProxy()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                _serve(proxy, self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy.url = f"http://{USER}:{PASSWORD}@127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()
