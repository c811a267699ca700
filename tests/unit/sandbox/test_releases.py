"""Official archives, from a server with a certificate: right, wrong, broken off, absent, silent."""

import gc
import hashlib
import io
import socket
import ssl
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from weighbridge_sandbox import lifecycle, releases, tools
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.progress import JsonProgress
from weighbridge_sandbox.releases import Archive, ReleaseError, UnreachableError

# urllib closes no socket whose handshake fails.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def packed(**programs: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in programs.items():
            member = tarfile.TarInfo(f"release-v1/bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


PROGRAM = b"#!/bin/sh\necho v1.2.3\n"
ARCHIVE = packed(probe=PROGRAM, README=b"words")


class Server:
    """Answers every path with `body`; says it has `short` bytes more than it sends."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.bundle = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.bundle)
        outer = self
        self.body, self.short, self.status = ARCHIVE, 0, 200

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body) + outer.short))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self._http.server_address[1]}/v1/probe.tar.gz"

    def archive(self, digest: str | None = None) -> Archive:
        return Archive(self.url, "sha256", digest or hashlib.sha256(ARCHIVE).hexdigest(), ("probe",))

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    running = Server(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(running.bundle))
    monkeypatch.setenv("no_proxy", "*")
    yield running
    running.close()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def test_the_right_archive_gives_its_programs_and_nothing_else(server: Server, into: Path) -> None:
    said: list[str] = []
    found = releases.fetch(server.archive(), into, said.append)
    assert found["probe"].read_bytes() == PROGRAM
    assert found["probe"].stat().st_mode & 0o111
    assert [path.name for path in into.iterdir()] == [".probe.new"]
    assert said[-1] == "100 % fetched"


def test_another_digest_is_refused_and_leaves_nothing(server: Server, into: Path) -> None:
    with pytest.raises(ReleaseError, match="which is pinned"):
        releases.fetch(server.archive("0" * 64), into, print)
    assert not list(into.iterdir())


def test_an_archive_that_breaks_off_is_refused_and_leaves_nothing(server: Server, into: Path) -> None:
    server.body, server.short = ARCHIVE[:100], len(ARCHIVE) - 100
    with pytest.raises(ReleaseError, match=r"100 bytes read|100 of"):
        releases.fetch(server.archive(), into, print)
    assert not list(into.iterdir())


def test_a_release_that_is_gone_is_said_with_the_answer(server: Server, into: Path) -> None:
    server.status = 404
    with pytest.raises(ReleaseError, match="answers 404") as caught:
        releases.fetch(server.archive(), into, print)
    assert not isinstance(caught.value, UnreachableError)


def test_an_archive_without_the_program_is_refused(server: Server, into: Path) -> None:
    server.body = packed(README=b"words")
    digest = hashlib.sha256(server.body).hexdigest()
    with pytest.raises(ReleaseError, match="holds no probe"):
        releases.fetch(server.archive(digest), into, print)


def test_a_server_whose_certificate_nobody_vouches_for_is_not_believed(
    server: Server, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UnreachableError, match="certificate verify failed"):
        releases.fetch(server.archive(), into, print)


def test_a_server_that_says_nothing_is_given_three_seconds(
    into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        archive = Archive(f"https://127.0.0.1:{silent.getsockname()[1]}/x.tar.gz", "sha256", "", ("probe",))
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="did not answer within 3 s"):
            releases.fetch(archive, into, print)
    assert 3 <= time.monotonic() - began < 3 + 5  # a busy machine's scheduling included
    for thread in threading.enumerate():
        if thread.name.endswith("(ask)"):
            thread.join()
    gc.collect()


class Heard(JsonProgress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def tool(program: str, archive: Archive | None) -> tools.Tool:
    return tools.Tool("etcd", program, ".", {}, (), r"(?!)", archive=archive)


def test_what_is_fetched_is_installed_and_the_rest_is_left_to_the_compiler(
    server: Server, tmp_path: Path
) -> None:
    layout, heard = Layout(tmp_path / "home"), Heard()
    layout.bin.mkdir(parents=True)
    right, wrong, none = (
        tool("probe", server.archive()),
        tool("other", server.archive("0" * 64)),
        tool("none", None),
    )
    assert lifecycle.to_compile(layout, [right, wrong, none], heard) == [wrong, none]
    assert tools.is_current(layout, right)
    assert (layout.bin / "probe").read_bytes() == PROGRAM
    assert len(heard.said) == 1
    assert "other is compiled from its source, which takes minutes, once" in heard.said[0]


def test_a_host_that_does_not_answer_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    layout, heard = Layout(tmp_path / "home"), Heard()
    layout.bin.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    dead = [
        tool(name, Archive(f"https://127.0.0.1:{port}/{name}", "sha256", "", (name,)))
        for name in ("one", "two")
    ]
    assert lifecycle.to_compile(layout, dead, heard) == dead
    assert len(heard.said) == 1
