"""A real rsync daemon with the rsync pod's own configuration, and a network between it and the client that can be made to fail."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from weighbridge.manifests.resources import share_dir
from weighbridge.steps.weights.push.daemon import PASSWORD_KEY, RECEIPTS, ROOT, STAGING, USER, secrets_line
from weighbridge.steps.weights.push.process import scrubbed
from weighbridge.steps.weights.push.rsync import Target

PASSWORD = "known-to-the-sender"
RSYNCD_CONF = (share_dir("templates") / "rsyncd.conf").read_text(encoding="utf-8")


class RsyncDaemon:
    """Serves ``volume`` (the pod's ``.weighbridge``) as the pod serves its own; ``port`` is on the loopback."""

    def __init__(self, folder: Path) -> None:
        self.volume = folder / "volume"
        for module in (STAGING, RECEIPTS):
            (self.volume / module).mkdir(parents=True)
        password = folder / PASSWORD_KEY
        password.write_text(secrets_line(PASSWORD))
        root_keeps_root = "uid = root\ngid = root\n" if os.geteuid() == 0 else ""
        self._config = folder / "rsyncd.conf"
        here = RSYNCD_CONF.replace(ROOT, str(self.volume)).replace(f"/password/{PASSWORD_KEY}", str(password))
        self._config.write_text(root_keeps_root + here)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._log = (folder / "rsyncd.log").open("wb")
        self._child: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._child = subprocess.Popen(
            ["rsync", "--daemon", "--no-detach", f"--config={self._config}", f"--port={self.port}", "--address=127.0.0.1", "--log-file=/dev/stderr"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("the rsync daemon did not start")

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def close(self) -> None:
        self._log.close()


class FaultyNetwork:
    """A TCP relay to ``port``: carries ``rate`` bytes a second, and breaks the first connections after so many bytes each."""

    def __init__(self, port: int, *, rate: float = 1e12, cuts: tuple[int, ...] = ()) -> None:
        self._to = port
        self.rate = rate
        self._cuts = list(cuts)
        self.broken = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            client.close()
            return
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        self._pump(client, server, count=True)
        back.join(5)
        client.close()
        server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, *, count: bool = False) -> None:
        moved = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                moved += len(data)
                if count:
                    time.sleep(len(data) / self.rate)
                    if self._cuts and moved > self._cuts[0]:
                        self._cuts.pop(0)
                        self.broken += 1
                        for end in (source, sink):
                            end.shutdown(socket.SHUT_RDWR)
                        return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._server.close()


class DirectTransport:
    """The transport to a daemon on this machine: what a port-forward gives, without a cluster."""

    name = "direct"

    def __init__(self, port: int, password: str = PASSWORD) -> None:
        self.port = port
        self.password = password
        self.resets = 0

    def target(self, deadline: float) -> Target:
        del deadline
        daemon = f"rsync://{USER}@127.0.0.1:{self.port}"
        return Target(
            options=("--contimeout=5",),
            staging=f"{daemon}/{STAGING}/",
            receipts=f"{daemon}/{RECEIPTS}/",
            env=scrubbed({"RSYNC_PASSWORD": self.password}),
        )

    def judge(self, said: str) -> None:
        del said

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        pass


@contextlib.contextmanager
def rsync_daemon(folder: Path) -> Iterator[RsyncDaemon]:
    daemon = RsyncDaemon(folder)
    try:
        yield daemon
    finally:
        daemon.stop()
        daemon.close()
