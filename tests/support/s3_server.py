"""A real S3 server (versitygw) for tests, and an HTTP relay in front of it that misbehaves on request."""

import contextlib
import os
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.session

from weighbridge.domain.credentials import S3Keys
from weighbridge.environment.types import EnvReference
from weighbridge.s3.settings import S3KeyPair, S3Source

KEYS = S3Keys("test-access-key", "test-secret-key")
BUCKET = "models"


def versitygw() -> str:
    """The program, from PATH or from the sandbox's tools."""
    home = Path(
        os.environ.get("WEIGHBRIDGE_SANDBOX_HOME")
        or Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "weighbridge-sandbox"
    )
    found = shutil.which("versitygw", path=f"{home.expanduser()}/tools/bin:{os.environ['PATH']}")
    assert found, (
        "versitygw is neither on PATH nor among the sandbox's tools: run `weighbridge-sandbox up` once"
    )
    return found


class S3Server:
    """Serves ``folder / data``: a bucket is a folder there, an object a file."""

    def __init__(self, folder: Path, *extra: str) -> None:
        self._data = folder / "data"
        (self._data / BUCKET).mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._extra = extra
        self._client: Any = None
        self._child: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def endpoint(self) -> str:
        return f"{'https' if '--cert' in self._extra else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        env = {
            "PATH": os.environ["PATH"],
            "ROOT_ACCESS_KEY_ID": KEYS.access_key,
            "ROOT_SECRET_ACCESS_KEY": KEYS.secret_key,
        }
        self._child = subprocess.Popen(
            [versitygw(), "--port", f"127.0.0.1:{self.port}", "--quiet", *self._extra, "posix", str(self._data)],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("versitygw did not start")

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
        if self._client is not None:
            self._client.close()
            self._client = None

    def put(self, key: str, content: bytes, bucket: str = BUCKET) -> None:
        """Through the API, so that the object has an ETag as any other."""
        if self._client is None:
            self._client = botocore.session.Session().create_client(
                "s3",
                endpoint_url=self.endpoint,
                region_name="us-east-1",
                aws_access_key_id=KEYS.access_key,
                aws_secret_access_key=KEYS.secret_key,
            )
        self._client.put_object(Bucket=bucket, Key=key, Body=content)

    def source(self, prefix: str = "", *, bucket: str = BUCKET, endpoint: str | None = None) -> S3Source:
        pair = S3KeyPair(access_key=EnvReference(env="A"), secret_key=EnvReference(env="B"))
        return S3Source(bucket=bucket, prefix=prefix, endpoint=endpoint or self.endpoint, credentials=pair)


Fault = Callable[[int, bytes], bytes | None]
"""Number of bytes of the answer sent so far and the next piece → what to send instead; ``None`` breaks the connection."""


class FaultyS3:
    """A relay to ``server``. ``faults`` are used up one a GET of an object, in their order; ``requests`` is what was asked."""

    def __init__(self, server: S3Server, *faults: Fault) -> None:
        self.requests: list[bytes] = []
        self.faults = list(faults)
        relay = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                relay.serve(self.request, server.port)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def serve(self, client: socket.socket, port: int) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(65536)
            if not data:
                return
            head += data
        self.requests.append(head)
        wants_object = head.startswith(b"GET") and b"list-type" not in head.split(b"\r\n")[0]
        fault = self.faults.pop(0) if wants_object and self.faults else None
        head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head).replace(
            b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1
        )
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall(head)
            sent = 0
            while data := server.recv(65536):
                piece = data if fault is None else fault(sent, data)
                if piece is None:
                    return
                client.sendall(piece)
                sent += len(piece)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def cut_after(limit: int) -> Fault:
    """The connection ends after ``limit`` bytes of the answer."""
    return lambda sent, piece: None if sent >= limit else piece[: limit - sent]


def stall(seconds: float) -> Fault:
    def wait(sent: int, piece: bytes) -> bytes | None:
        if sent:
            time.sleep(seconds)
            return None
        return piece

    return wait


def answer(status: str, code: str = "SlowDown", headers: str = "") -> Fault:
    """Another answer instead of the server's."""
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    text = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n".encode()
        + body
    )
    return lambda sent, _piece: None if sent else text


@contextlib.contextmanager
def s3_server(folder: Path, *extra: str) -> Iterator[S3Server]:
    server = S3Server(folder, *extra)
    try:
        yield server
    finally:
        server.stop()
