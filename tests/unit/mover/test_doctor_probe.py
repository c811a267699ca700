"""The probe tells DNS, TCP, proxy, TLS, HTTP, clock and login apart, against servers that fail in just that way."""

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.fake_s3 import FakeS3, fake_s3
from support.http_proxy import http_proxy
from weighbridge.mover import probe
from weighbridge.mover.__main__ import main
from weighbridge.mover.endpoint import Endpoint, Finding, failed
from weighbridge.mover.endpoint import look as look_at
from weighbridge.mover.proxies import ProxySettings
from weighbridge.mover.sources.s3.location import Location
from weighbridge.mover.sources.s3.login import log_in
from weighbridge.mover.sources.s3.sigv4 import Keys

KEYS = Keys("AK", "secret")


def look(
    endpoint: str,
    keys: Keys | None = None,
    proxy: str | None = None,
    ca: Path | None = None,
    bucket: str = "models",
) -> list[Finding]:
    location = Location(endpoint, "us-east-1", bucket, "m/")
    reached = Endpoint(
        endpoint, ProxySettings(http=proxy, https=proxy), {}, str(ca) if ca else None, seconds=2
    )
    return look_at(reached, None if keys is None else lambda: log_in(location, reached, lambda: keys))


def ended(found: list[Finding]) -> tuple[str, str | None]:
    """The last stage, and its code where it failed; everything before it has to be fine."""
    assert all(item["ok"] for item in found[:-1])
    return found[-1]["stage"], found[-1].get("code")


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on this machine that does this with each connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    answer(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def saying(text: bytes) -> Callable[[socket.socket], None]:
    def answer(client: socket.socket) -> None:
        client.settimeout(5)
        client.recv(65536)
        client.sendall(text)

    return answer


@contextlib.contextmanager
def tls(certificate: trustme.LeafCert) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def answer(client: socket.socket) -> None:
        client.settimeout(5)
        with context.wrap_socket(client, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with answering(answer) as port:
        yield port


def test_a_name_that_does_not_resolve() -> None:
    assert ended(look("https://no-such-host.invalid")) == ("dns", "dns-failed")


def test_a_port_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ended(look(f"http://127.0.0.1:{port}")) == ("tcp", "tcp-refused")


def test_a_server_that_takes_connections_and_says_nothing() -> None:
    silence = threading.Event()

    def nothing(_: socket.socket) -> None:
        silence.wait(10)

    with answering(nothing) as port:
        found = look(f"http://127.0.0.1:{port}")
        silence.set()
    assert ended(found) == ("http", "http-silent")


def test_a_server_that_speaks_something_else() -> None:
    with answering(saying(b"220 mail.example.com ESMTP\r\n")) as port:
        assert ended(look(f"http://127.0.0.1:{port}")) == ("http", "not-http")


def test_a_server_without_tls() -> None:
    with answering(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert ended(look(f"https://127.0.0.1:{port}")) == ("tls", "tls-failed")


def test_certificates(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    with tls(authority.issue_cert("127.0.0.1")) as port:
        assert ended(look(f"https://127.0.0.1:{port}", ca=pem))[0] == "http"
        assert ended(look(f"https://127.0.0.1:{port}")) == ("tls", "tls-untrusted")
    with tls(stranger.issue_cert("127.0.0.1")) as port:
        assert ended(look(f"https://127.0.0.1:{port}", ca=pem)) == ("tls", "tls-untrusted")
    with tls(authority.issue_cert("other.example.com")) as port:
        assert ended(look(f"https://127.0.0.1:{port}", ca=pem)) == ("tls", "tls-name")
    pem.write_text("no certificate")
    with tls(authority.issue_cert("127.0.0.1")) as port:
        assert ended(look(f"https://127.0.0.1:{port}", ca=pem)) == ("tls", "trust-unusable")


@pytest.fixture
def server() -> Iterator[FakeS3]:
    with fake_s3() as running:
        yield running


def test_a_proxy_that_lets_through_wants_a_login_refuses_or_is_not_there(server: FakeS3) -> None:
    with http_proxy() as proxy:
        endpoint = server.endpoint.replace("127.0.0.1", "s3.test")
        found = look(endpoint, proxy=proxy.url)
        assert [item["stage"] for item in found] == ["dns", "tcp", "proxy", "http"]
        assert proxy.requests
        bare = proxy.url.replace(proxy.url.split("//")[1].split("@")[0] + "@", "")
        assert ended(look(endpoint, proxy=bare)) == ("proxy", "proxy-login")
        assert ended(look("https://s3.test:1", proxy=bare)) == ("proxy", "proxy-login")
    with answering(saying(b"HTTP/1.1 403 Forbidden\r\n\r\n")) as port:
        assert ended(look("https://s3.example.com", proxy=f"http://127.0.0.1:{port}")) == (
            "proxy",
            "proxy-refused",
        )
        said = look("https://s3.example.com", proxy=f"http://127.0.0.1:{port}")[0]["said"]
        assert "which resolves s3.example.com itself" in said
    assert ended(look("https://s3.example.com", proxy="socks5://127.0.0.1:1")) == ("proxy", "proxy-unusable")


@pytest.mark.parametrize(
    ("keys", "bucket", "code"),
    [
        (Keys("AK", "wrong"), "models", "s3:SignatureDoesNotMatch"),
        (Keys("OTHER", "secret"), "models", "s3:InvalidAccessKeyId"),
        (KEYS, "absent", "s3:NoSuchBucket"),
    ],
)
def test_a_login_that_is_refused(server: FakeS3, keys: Keys, bucket: str, code: str) -> None:
    assert ended(look(server.endpoint, keys, bucket=bucket)) == ("login", code)


def test_a_clock_that_is_wrong_is_measured_and_found_in_the_login(server: FakeS3) -> None:
    server.clock = timedelta(minutes=20)
    found = look(server.endpoint, KEYS)
    assert found[-2]["stage"] == "http"
    assert -1205 < found[-2]["skew"] < -1195
    assert ended(found) == ("login", "s3:RequestTimeTooSkewed")


def in_a_pod(tmp_path: Path, **order: Any) -> dict[str, dict[str, Any]]:
    file, out = tmp_path / "order.json", tmp_path / "termination"
    file.write_text(json.dumps({"schema": 1, "seconds": 2, **order}))
    volume = tmp_path / "volume"
    volume.mkdir(exist_ok=True)
    arguments = ["probe", f"--order={file}", f"--volume={volume}", f"--termination={out}"]
    assert main(arguments) == 0
    message = json.loads(out.read_text())
    assert message["outcome"] == "probed"
    assert len(out.read_bytes()) <= 4096
    assert list(volume.iterdir()) == []
    return {item["stage"]: item for item in message["stages"]}


def test_in_a_pod_everything_goes_into_the_termination_message(
    tmp_path: Path, server: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    place = {"endpoint": server.endpoint, "region": "us-east-1", "bucket": "models", "prefix": "m/"}
    source = {"kind": "s3", **place}
    found = in_a_pod(tmp_path, volume=True, rsync=False, source=source)
    assert set(found) == {"python", "volume", "dns", "tcp", "http"}
    assert all(item["ok"] for item in found.values())
    assert json.loads(capsys.readouterr().out)["outcome"] == "probed"


def test_a_volume_that_cannot_be_written_is_told_with_whose_it_is(tmp_path: Path) -> None:
    found = probe.look_at_volume(Path("/proc/self"))
    assert found["code"] == "volume-unwritable"
    assert f"user {os.getuid()}" in found["said"]
    assert "mode 0555" in found["said"]
    assert probe.look_at_volume(tmp_path / "absent")["code"] == "volume-unwritable"


def test_sentences_are_cut_to_what_a_termination_message_holds() -> None:
    stages = [failed("dns", "dns-failed", "x" * 5000) for _ in range(9)]
    assert len(json.dumps(stages)) < 4000
