"""What a plan, an apply and a fetch cost as models and files grow, on the sandbox; written as a table to ``docs/scale.md``.

    python benchmarks/scale.py --models 1 10 100 --files 10 1000 100000

Models are small (a Llama of a few MiB, one prefix for all of them), so that what surrounds the bytes is what is measured. CPU seconds are
those of the command and its children, and not of the pods. Requests to S3 are counted by a relay that everybody reads through, those to
the API server by its own metrics, watches left out: they hold everybody's, the kubelet's and the controllers' too.
"""

import argparse
import json
import os
import re
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import SHUT_WR, create_connection, socket
from typing import Any
from urllib.parse import urlsplit

from support.estate import BIN, Estate
from weighbridge.domain import human
from weighbridge_sandbox.layout import GATEWAY, S3_ENDPOINT, Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
REQUEST = re.compile(rb"^(?:GET|HEAD) [^ ]+ HTTP/1\.1\r$", re.MULTILINE)
COUNTED = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)
HEAD = (
    "# What it costs as it grows\n\nWritten by `make bench-scale` on the sandbox: one machine that is cluster, S3 server and pipeline at once. Bytes are"
    " few, so that what surrounds them shows.\nRequests to the API server are everybody's, the kubelet's and the controllers' too; CPU is that of the"
    " command and its children on this machine, without the pods.\n"
)


class Relay(socketserver.ThreadingTCPServer):
    """Passes bytes on to the sandbox's S3 server, and counts the requests for reading among them."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__((GATEWAY, 0), _Passing)
        self.requests = 0
        self.counting = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://{GATEWAY}:{self.server_address[1]}"


class _Passing(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        where = urlsplit(S3_ENDPOINT)
        with create_connection((str(where.hostname), where.port or 80)) as upstream:
            back = threading.Thread(target=_pass_on, args=(upstream, self.request), daemon=True)
            back.start()
            _pass_on(self.request, upstream, self._count)
            back.join()

    def _count(self, data: bytes) -> None:
        with self.server.counting:
            self.server.requests += len(REQUEST.findall(data))


def _pass_on(source: socket, target: socket, look: Any = lambda _: None) -> None:
    try:
        while data := source.recv(1 << 18):
            look(data)
            target.sendall(data)
        target.shutdown(SHUT_WR)
    except OSError:  # one of the two has gone
        return


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float
    """Seconds."""
    api: int
    s3: int
    mover: int
    """Bytes at most; 0 where no pod ran."""

    def row(self, what: str) -> str:
        mover = human.size(self.mover) if self.mover else ""
        return f"| {what} | {self.wall:.1f} | {self.cpu:.1f} | {self.api} | {self.s3} | {mover} |"


@dataclass(frozen=True)
class Bench:
    estate: Estate
    relay: Relay

    def measure(self, verb: str, models: list[dict[str, Any]]) -> Cost:
        """One command, which has to succeed."""
        file = self.estate.written(models=models)
        s3, api, started = self.relay.requests, api_requests(), time.monotonic()
        with tempfile.TemporaryFile() as out:
            child = subprocess.Popen(
                [BIN / "weighbridge", verb, file, "--json"], cwd=self.estate.folder, stdout=out, stderr=subprocess.DEVNULL
            )  # fmt: skip
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            wall = time.monotonic() - started
            out.seek(0)
            said = out.read().decode()
        if child.returncode:
            raise SystemExit(f"{verb} of {len(models)} models ended with {child.returncode}: {said}")
        steps = json.loads(said).get("steps", [])
        return Cost(
            wall,
            usage.ru_utime + usage.ru_stime,
            api_requests() - api,
            self.relay.requests - s3,
            max((int(step.get("mover_rss_bytes") or 0) for step in steps), default=0),
        )

    def model(self, model_id: str, prefix: str) -> dict[str, Any]:
        found = self.estate.model(model_id, "fetch", prefix=prefix)
        found["source"]["s3"]["endpoint"] = self.relay.endpoint
        return {key: value for key, value in found.items() if key != "parameters"}


def api_requests() -> int:
    text = subprocess.run(
        ["kubectl", "get", "--raw", "/metrics"], capture_output=True, text=True, check=True
    ).stdout
    return sum(int(float(row["count"])) for row in COUNTED.finditer(text) if 'verb="WATCH"' not in row["labels"])  # fmt: skip


@contextmanager
def bench(name: str) -> Iterator[Bench]:
    """A tenant of its own, with a small Llama in S3."""
    create_operands(name)
    try:
        with tempfile.TemporaryDirectory() as folder, Relay() as relay:
            threading.Thread(target=relay.serve_forever, daemon=True).start()
            estate = Estate(name=name, layout=Layout(), folder=Path(folder))
            try:
                estate.fill()
                yield Bench(estate, relay)
            finally:
                estate.empty()
                estate.kube.close()
                relay.shutdown()
    finally:
        delete_operands(name)


def of_models(count: int) -> Iterator[str]:
    with bench(f"scale-models-{count}") as on:
        models = [on.model(f"m{number:03d}", "llama") for number in range(count)]
        words = human.count(count, "model")
        yield on.measure("apply", models).row(f"first apply, {words}")
        yield on.measure("plan", models).row(f"plan without a change, {words}")


def of_files(count: int) -> Iterator[str]:
    with bench(f"scale-files-{count}") as on:
        source = on.estate.folder / "source"
        few = sum(path.is_file() for path in source.rglob("*"))
        for number in range(count - few):
            path = source / "extra" / f"{number // 1000:03d}" / f"{number:06d}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number}\n")
        on.estate.upload(source, "many")
        words = human.count(max(count, few), "file")
        yield on.measure("apply", [on.model("many", "many")]).row(f"first apply of one model, {words}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--files", type=int, nargs="*", default=[10, 1000, 100_000])
    parser.add_argument("--out", type=Path, default=PAGE)
    arguments = parser.parse_args()
    columns = ("what", "wall s", "CPU s", "API requests", "S3 requests", "mover's peak memory")
    rows = [f"| {' | '.join(columns)} |", "|---|---:|---:|---:|---:|---:|"]
    print("\n".join(rows))
    for series, counts in ((of_models, arguments.models), (of_files, arguments.files)):
        for count in counts:
            for row in series(count):
                print(row, flush=True)
                rows.append(row)
    arguments.out.write_text("\n".join([HEAD, *rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
