"""A bench for the mover: a small weight set, an S3 that holds it, a volume, and the mover as a process of its own."""

import hashlib
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from support.fake_s3 import FakeS3, Stored
from support.s3_signature import REGION
from weighbridge.domain.digest import digest
from weighbridge.manifests.mover_archive import mover_archive
from weighbridge.mover.weightset import set_digest

MODEL = "org/tiny"
QUICK = {
    "workers": 3,
    "chunk_bytes": 65536,
    "stall_seconds": 1,
    "patience_seconds": 20,
    "rotation_seconds": 20,
    "lock_wait_seconds": 1,
}


def safetensors(seed: int, size: int) -> bytes:
    """A file of about ``size`` bytes with one tensor, named after its seed."""
    length = max(0, size - 128)
    header = json.dumps(
        {f"t{seed}": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(length)


def weight_set(*sizes: int) -> dict[str, bytes]:
    """A set of as many shards, with what belongs to them."""
    shards = {
        f"model-{number:05d}.safetensors": safetensors(number, size) for number, size in enumerate(sizes)
    }
    index = {"weight_map": {f"t{number}": name for number, name in enumerate(shards)}}
    return {
        **shards,
        "model.safetensors.index.json": json.dumps(index).encode(),
        "config.json": b'{"architectures": ["Tiny"]}',
        "tokenizer.json": b"{}",
        "1_Pooling/config.json": b"{}",
        "empty.txt": b"",
        "na\u00efve name [1].txt": b"x",
    }


def digest_of(files: Mapping[str, bytes]) -> str:
    return set_digest(
        (path, len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items()
    )


@dataclass(frozen=True)
class Ended:
    """One finished run of the mover."""

    code: int
    events: list[dict[str, Any]]
    errors: str
    termination: dict[str, Any]

    @property
    def error(self) -> str | None:
        return self.termination["error"] and str(self.termination["error"]["code"])

    @property
    def outcome(self) -> str:
        return str(self.termination["outcome"])

    @property
    def notes(self) -> str:
        return "\n".join(event["text"] for event in self.events if event["event"] == "note")


@dataclass
class Bench:
    folder: Path
    files: dict[str, bytes]
    part_size: int | None = None
    checksums: bool = False
    limits: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    """Further keys of the order."""
    python: str = sys.executable
    sent: Mapping[str, bytes] | None = None
    """What the sender says that it sent (an order to publish tells that): the files, unless it is taken away later."""
    recorded: str | None = None
    """The set's digest as the cluster has it on record, which orders carry: that of the last run that went well."""

    def __post_init__(self) -> None:
        self.sent = self.files
        self.volume = self.folder / "volume"
        self.volume.mkdir()
        self.credentials = self.folder / "credentials"
        self.credentials.mkdir()
        self.archive = self.folder / "mover.pyz"
        self.archive.write_bytes(mover_archive())
        self.give_keys("AK", "secret")

    def give_keys(self, access: str, secret: str, token: str | None = None) -> None:
        for name, value in {
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": token,
        }.items():
            if value is not None:
                (self.credentials / name).write_text(value + "\n")

    def objects(self) -> dict[str, Stored]:
        """What the S3 holds: the large files uploaded in parts, if so wanted."""
        return {
            f"{MODEL}/{path}": Stored(
                content, self.part_size if path.endswith(".safetensors") else None, self.checksums
            )
            for path, content in self.files.items()
        }

    def order(self, endpoint: str, route: str = "fetch") -> dict[str, Any]:
        """What the orchestrator would order for these files."""
        stored = {key.removeprefix(f"{MODEL}/"): value for key, value in self.objects().items()}
        files: list[dict[str, Any]] = [
            {"path": path, "size": len(item.content), "etag": item.etag}
            for path, item in sorted(stored.items())
        ]
        sent: dict[str, Any] = {}
        fingerprint = digest([[file["path"], file["size"], file["etag"]] for file in files])
        if route == "push" and self.sent is not None:
            sent = {"expect_set_digest": digest_of(self.sent)}
            for file in files:
                file["sha256"] = hashlib.sha256(self.sent[file["path"]]).hexdigest()
        return {
            "schema": 1, "model_id": MODEL, "sub_path": f"{MODEL}/{fingerprint[7:19]}", "fingerprint": fingerprint, "route": route,
            "source": {"kind": "s3", "endpoint": endpoint, "region": REGION, "bucket": "models", "prefix": f"{MODEL}/"},
            "files": files, "limits": {**QUICK, **self.limits}, **sent, **self.extra,
        }  # fmt: skip

    def without_list(self) -> None:
        """Order as it is done where the list of files fits no order."""
        self.extra = {"files": [], "listed": {"count": len(self.files), "exclude": ["*.md"]}}

    def write_order(self, endpoint: str, route: str = "fetch", verb: str = "fetch") -> Path:
        """The order as the role completes it with the cluster's record."""
        path = self.folder / "order.json"
        order = self.order(endpoint, route)
        if verb == "verify":
            order.setdefault("expect_set_digest", self.recorded or digest_of(self.files))
        elif self.recorded:
            order.setdefault("recorded_set_digest", self.recorded)
        path.write_text(json.dumps(order))
        return path

    @property
    def published(self) -> Path:
        return self.volume / str(self.order("http://unused")["sub_path"])

    @property
    def staging(self) -> Path:
        return self.volume / ".weighbridge/staging" / str(self.order("http://unused")["sub_path"])

    def argv(self, verb: str, endpoint: str, route: str = "fetch") -> list[str]:
        return [
            self.python, str(self.archive), verb, "--order", str(self.write_order(endpoint, route, verb)), "--volume", str(self.volume),
            "--credentials", str(self.credentials), "--termination", str(self.folder / "termination"),
        ]  # fmt: skip

    def start(self, verb: str, s3: FakeS3 | str, **options: Any) -> "Running":
        endpoint = s3 if isinstance(s3, str) else s3.endpoint
        (self.folder / "termination").unlink(missing_ok=True)
        environment = {
            name: value for name, value in os.environ.items() if "proxy" not in name.lower()
        } | options.pop("env", {})
        prefix: list[str] = options.pop("prefix", [])
        argv = [*prefix, *self.argv(verb, endpoint, options.pop("route", "fetch")), *options.pop("more", [])]
        return Running(
            self,
            subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
            ),
        )

    def run(self, verb: str, s3: FakeS3 | str = "http://127.0.0.1:9", **options: Any) -> Ended:
        ended = self.start(verb, s3, **options).wait()
        if ended.code == 0 and verb != "verify":
            self.recorded = ended.termination["set_digest"]
        return ended

    def push(
        self,
        *,
        skip: str | None = None,
        keep: tuple[str, ...] = (),
        forged: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """What the sender of the push route does: files into staging, and a manifest that says what they are.

        ``forged`` (by path) is what somebody else puts there in place of a file, with a manifest that agrees with it.
        """
        rows = []
        for file in self.order("http://unused", "push")["files"]:
            path, content = file["path"], forged.get(file["path"], self.files[file["path"]])
            if path == skip:
                continue
            sha256 = hashlib.sha256(content).hexdigest()
            rows.append({**file, "sha256": sha256, **({"keep": True} if path in keep else {})})
            if path not in keep:
                place = self.staging / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        self.staging.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{self.staging}.manifest.json").write_text(json.dumps({"files": rows}))

    def stored(self) -> dict[str, bytes]:
        """Every file of the published set."""
        return {
            str(path.relative_to(self.published)): path.read_bytes()
            for path in sorted(self.published.rglob("*"))
            if not path.is_dir()
        }

    def leftovers(self) -> list[str]:
        """What lies on the volume beside published files, receipts and (empty) locks."""
        kept = ("receipts/", "locks/")
        ours = self.volume / ".weighbridge"
        return sorted(
            name
            for path in ours.rglob("*")
            if not path.is_dir() and not (name := str(path.relative_to(ours))).startswith(kept)
        )


@dataclass
class Running:
    bench: Bench
    process: subprocess.Popen[str]

    def wait(self, seconds: float = 60) -> Ended:
        out, errors = self.process.communicate(timeout=seconds)
        termination = self.bench.folder / "termination"
        content = termination.read_bytes() if termination.exists() else b""
        events = [json.loads(line) for line in out.splitlines()]
        return Ended(
            self.process.returncode,
            events,
            errors,
            json.loads(content) if content else {"outcome": "killed", "error": None},
        )

    def kill_when(self, reached: Any, seconds: float = 30) -> None:
        """SIGKILL as soon as ``reached()`` holds, unless the mover is quicker."""
        until = time.monotonic() + seconds
        while self.process.poll() is None and not reached():
            assert time.monotonic() < until, "never reached"
            time.sleep(0.001)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
