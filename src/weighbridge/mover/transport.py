"""One worker's keep-alive connection to the source. Another thread can cut it when it stalls."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from .proxies import Proxy

Connection = http.client.HTTPConnection
NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)
"""What a broken connection may raise: sockets and TLS raise OSError, a TLS socket cut while in use raises ValueError."""


class Stalled(Exception):  # noqa: N818 - a state of the connection that leads to a retry
    """The watchdog cut the connection because no bytes came."""


class Lane:
    """Used by one worker thread. Other threads may call ``cut`` and ``idle_seconds``."""

    def __init__(self, endpoint: str, tls: ssl.SSLContext, proxy: Proxy | None, stall_seconds: float) -> None:
        parts = urlsplit(endpoint)
        self._secure = parts.scheme == "https"
        self._hostname = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self.host = parts.netloc
        """Value of the Host header."""
        self._tls = tls
        self._proxy = proxy
        self._timeout = stall_seconds
        self._connection: Connection | None = None
        self._used = False
        self._lock = threading.Lock()
        self._waiting_since: float | None = None
        self._cut = False

    def request(self, method: str, target: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send a request and return the response's head. Replace a kept connection once if the server has closed it."""
        reused = self._connection is not None and self._used
        try:
            return self._send(method, target, headers)
        except Stalled:
            raise
        except NETWORK_ERRORS:
            self.close()
            if not reused:
                raise
        return self._send(method, target, headers)

    def _send(self, method: str, target: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        with self._lock:
            self._cut = False
            self._waiting_since = time.monotonic()
        try:
            connection = self._connection or self._connect()
            fields = dict(headers)
            if self._proxy and not self._secure:
                target = self._origin + target
                if self._proxy.authorization:
                    fields["Proxy-Authorization"] = self._proxy.authorization
            connection.request(method, target, headers=fields)
            response = connection.getresponse()
        except NETWORK_ERRORS as error:
            if self._cut:
                raise Stalled from error
            raise
        finally:
            self._waiting_since = None
        self._used = True
        return response

    def read_into(self, response: http.client.HTTPResponse, view: memoryview) -> int:
        """Return the number of bytes put into ``view``: all of it, or fewer at the end of the body; 0 after the end."""
        self._waiting_since = time.monotonic()
        try:
            count = response.readinto(view)
        except NETWORK_ERRORS as error:
            if self._cut:
                raise Stalled from error
            raise
        finally:
            self._waiting_since = None
        if count < len(view) and self._cut:
            raise Stalled
        return count

    def finish(self, response: http.client.HTTPResponse) -> None:
        """Keep the connection for the next request if the body was read to its end and the server allows it."""
        if response.will_close or not response.isclosed():
            self.close()

    def idle_seconds(self) -> float:
        """Return how long the present read or request has been waiting for the network."""
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def via(self) -> str:
        """Return text for messages: the proxy that the connection goes through."""
        return f" (through proxy {self._proxy.host}:{self._proxy.port})" if self._proxy else ""

    def cut(self) -> None:
        """Make a waiting read fail now."""
        with self._lock:
            self._cut = True
            sock = self._connection.sock if self._connection else None
            if sock is not None:
                # The plain socket's method: SSLSocket.shutdown would remove the TLS state that the reading thread still uses.
                with contextlib.suppress(OSError):  # already closed
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        connection, self._connection, self._used = self._connection, None, False
        if connection is not None:
            connection.close()

    def _connect(self) -> Connection:
        near = (self._proxy.host, self._proxy.port) if self._proxy else (self._hostname, self._port)
        if self._secure:
            connection: Connection = http.client.HTTPSConnection(
                *near, timeout=self._timeout, context=self._tls
            )
            if self._proxy:
                fields = (
                    {"Proxy-Authorization": self._proxy.authorization} if self._proxy.authorization else {}
                )
                connection.set_tunnel(self._hostname, self._port, headers=fields)
        else:
            connection = http.client.HTTPConnection(*near, timeout=self._timeout)
        connection.connect()
        self._connection = connection
        return connection
