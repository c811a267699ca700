"""What grows with the number of models and of files: time, CPU, memory, and requests to the API server and to S3.

    python benchmarks/scale.py models --counts 1,10,100     on the sandbox: a first apply, and a plan that finds nothing to do
    python benchmarks/scale.py files --counts 10,1000,100000     the mover's fetch, from an S3 server on this machine

Each prints its rows and writes them to ``docs/scale.md``, beside those of the other part.

CPU is that of the command and of all that it
starts and waits for; pods are not among them. Requests to the API server are all that it answered meanwhile, those of its own
controllers too, less what it answers in as long a time when nothing happens.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.estate import Estate
from support.s3_fault_proxy import S3FaultProxy, s3_fault_proxy
from support.s3_server import BUCKET, KEYS, S3Server, s3_server
from support.sandbox import enter_sandbox
from weighbridge.domain.digest import Json, digest
from weighbridge.manifests.mover_archive import mover_archive
from weighbridge_sandbox.layout import GATEWAY, S3_ENDPOINT
from weighbridge_sandbox.models import TINY, write_small_llama
from weighbridge_sandbox.tenancy import create_operands, delete_operands

DOCUMENT = ROOT / "docs" / "scale.md"
HEADS = {
    "models": "| models | what | seconds | CPU s | peak memory | API requests | S3 requests |\n|---|---|---|---|---|---|---|",
    "files": "| files | bytes | seconds | CPU s | peak memory | S3 requests |\n|---|---|---|---|---|---|",
}
TITLES = {
    "models": "Models: a first apply of so many, and a plan afterwards",
    "files": "Files: a fetch of so many, each proven by its SHA-256",
}
IDLE_SECONDS = 10
FILE_BYTES = 1024
_HEADER = json.dumps({"w": {"dtype": "U8", "shape": [FILE_BYTES], "data_offsets": [0, FILE_BYTES]}}).encode()
MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": struct.pack("<Q", len(_HEADER)) + _HEADER + bytes(FILE_BYTES),
}
"""What every set has; the rest of it is text."""


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu: float
    """Seconds, user and system."""
    peak: int
    """Bytes that the largest of its processes had in memory."""


def measure(argv: list[str], env: dict[str, str], cwd: Path) -> Cost:
    """Run to its end. ``SystemExit`` with its last words where it fails."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(argv)}: exit {child.returncode}\n{said.read()[-3000:].decode()}")
    return Cost(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


# -- models ----------------------------------------------------------------------------------------------------------


def answered(layout: Any) -> int:
    """Requests that the API server has answered so far (its metric ``apiserver_request_total``)."""
    kubectl = ["kubectl", f"--kubeconfig={layout.kubeconfig}", "--context=weighbridge-sandbox"]
    text = subprocess.run(
        [*kubectl, "get", "--raw", "/metrics"], capture_output=True, text=True, check=True
    ).stdout
    return sum(int(float(count)) for count in re.findall(r"(?m)^apiserver_request_total\{.*\} (\S+)$", text))


def tenants_models(estate: Estate, proxy: S3FaultProxy, count: int) -> None:
    """So many models of one small Llama, each below a prefix of its own."""
    source = estate.folder / "source"
    write_small_llama(source, shape=TINY)
    estate.environment["models"] = []
    for number in range(count):
        model_id = f"model-{number:03d}"
        estate.upload(source, model_id)
        model = estate.model(model_id, "fetch", prefix=model_id)
        model["source"]["s3"]["endpoint"] = proxy.endpoint
        estate.environment["models"].append(model)


def of_models(counts: list[int]) -> Iterator[str]:
    layout = enter_sandbox()
    keys = (os.environ["SANDBOX_S3_ACCESS_KEY"], os.environ["SANDBOX_S3_SECRET_KEY"])
    for count in counts:
        name = f"bench-scale-{count}"
        create_operands(name)
        with tempfile.TemporaryDirectory() as folder:
            estate = Estate(name=name, layout=layout, folder=Path(folder))
            try:
                with s3_fault_proxy(S3_ENDPOINT, keys, {keys[0]: (keys[1], None)}, host=GATEWAY) as proxy:
                    tenants_models(estate, proxy, count)
                    yield from _measured_runs(estate, proxy, layout, count)
            finally:
                estate.empty()
                estate.kube.close()
                estate.s3.close()
                delete_operands(name)


def _measured_runs(estate: Estate, proxy: S3FaultProxy, layout: Any, count: int) -> Iterator[str]:
    file = estate.written()
    before = answered(layout)
    time.sleep(IDLE_SECONDS)
    idle = (answered(layout) - before) / IDLE_SECONDS
    program = str(Path(sys.executable).parent / "weighbridge")
    for what, *words in (("apply", "apply"), ("plan", "plan", "--expect-no-changes")):
        asked, read = answered(layout), proxy.requests
        cost = measure([program, words[0], str(file), *words[1:]], dict(os.environ), estate.folder)
        api = round(answered(layout) - asked - idle * cost.seconds)
        yield (
            f"| {count:,} | {what} | {cost.seconds:.0f} | {cost.cpu:.1f} | {mib(cost.peak)} | {max(0, api):,} | {proxy.requests - read:,} |"
        )


# -- files -----------------------------------------------------------------------------------------------------------


def of_files(counts: list[int]) -> Iterator[str]:
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            log = folder / "access.log"
            with s3_server(folder, "--keep-alive", f"--access-log={log}") as server:
                order = fill(server, folder / "data" / BUCKET, count)
                asked = _lines(log)
                cost = measure(_fetch(folder, order), {"PATH": os.environ["PATH"]}, folder)
                requests = _lines(log) - asked
            published = folder / "volume" / order["sub_path"]
            found = sum(1 for path in published.rglob("*") if path.is_file())
            if found != count:
                raise SystemExit(f"{found} files were published, and not {count}")
            size = order["bytes"]
            yield f"| {count:,} | {size:,} | {cost.seconds:.1f} | {cost.cpu:.1f} | {mib(cost.peak)} | {requests:,} |"


def _lines(log: Path) -> int:
    with contextlib.suppress(FileNotFoundError), log.open("rb") as stream:
        return sum(1 for _ in stream)
    return 0


def fill(server: S3Server, bucket: Path, count: int) -> dict[str, Any]:
    """A set of ``count`` files in the server's own folder, and the order for it: without a list, as where none would fit."""
    rows = [
        (f"extra/{number // 1000:03d}/{number:06d}.txt", os.urandom(FILE_BYTES // 2).hex().encode())
        for number in range(count - len(MODEL))
    ]
    listed: list[Json] = []
    for path, content in [*MODEL.items(), *rows]:
        place = bucket / "many" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        os.setxattr(place, "user.etag", f'"{etag}"'.encode())  # where versitygw keeps it
        listed.append([path, len(content), etag])
    fingerprint = digest(sorted(listed, key=str))
    return {
        "schema": 1, "model_id": "many", "sub_path": f"many/{fingerprint[7:19]}", "fingerprint": fingerprint, "route": "fetch",
        "source": {"kind": "s3", "endpoint": server.endpoint, "region": "us-east-1", "bucket": BUCKET, "prefix": "many/"},
        "files": [], "listed": {"count": count, "exclude": []}, "bytes": sum(len(content) for _, content in [*MODEL.items(), *rows]),
    }  # fmt: skip


def _fetch(folder: Path, order: dict[str, Any]) -> list[str]:
    (folder / "volume").mkdir()
    (folder / "mover.pyz").write_bytes(mover_archive())
    (folder / "order.json").write_text(json.dumps({key: order[key] for key in order if key != "bytes"}))
    keys = folder / "keys"
    keys.mkdir()
    (keys / "AWS_ACCESS_KEY_ID").write_text(KEYS.access_key)
    (keys / "AWS_SECRET_ACCESS_KEY").write_text(KEYS.secret_key)
    mover = [sys.executable, str(folder / "mover.pyz"), "fetch", "--order", str(folder / "order.json")]
    return [*mover, "--credentials", str(keys), "--volume", str(folder / "volume")]


# -- what is written -------------------------------------------------------------------------------------------------


def mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def section(part: str, rows: list[str]) -> str:
    return "\n".join([f"## {TITLES[part]}", "", HEADS[part], *rows, ""])


def write(part: str, rows: list[str]) -> None:
    """The part's section anew, the other as it was."""
    old = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    kept = {
        one: found.group(0).rstrip() + "\n"
        for one in HEADS
        if one != part and (found := re.search(rf"(?ms)^## {re.escape(TITLES[one])}$.*?(?=^## |\Z)", old))
    }
    parts = [section(part, rows) if one == part else kept[one] for one in HEADS if one == part or one in kept]
    about = " ".join(line.strip() for line in (__doc__ or "").split("\n\n")[3].splitlines())
    head = (
        f"# Cost as it grows\n\nWritten by `make bench-scale`; do not edit. {os.cpu_count()} CPUs. {about}\n"
    )
    DOCUMENT.write_text("\n".join([head, *parts]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=HEADS)
    parser.add_argument("--counts", type=lambda text: [int(one) for one in text.split(",")])
    arguments = parser.parse_args()
    counts = arguments.counts or ([1, 10, 100] if arguments.part == "models" else [10, 1_000, 100_000])
    rows = []
    print(HEADS[arguments.part], flush=True)
    for row in (of_models if arguments.part == "models" else of_files)(counts):
        print(row, flush=True)
        rows.append(row)
    write(arguments.part, rows)


if __name__ == "__main__":
    main()
