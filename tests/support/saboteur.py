"""Somebody who writes into a push's staging area while it runs."""

import contextlib
import hashlib
import json
import threading
from pathlib import Path
from typing import Self


class Saboteur:
    """Another user who got hold of the way into staging: puts a forged shard there, and a manifest that agrees with it."""

    def __init__(self, volume: Path, sub_path: str, victim: str, forged: bytes) -> None:
        self._staged = volume / ".weighbridge/staging" / sub_path
        self._victim = victim
        self._forged = forged
        self.struck = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            with contextlib.suppress(FileNotFoundError, ValueError):
                self._strike()

    def _strike(self) -> None:
        shard, manifest = self._staged / self._victim, Path(f"{self._staged}.manifest.json")
        if shard.stat().st_size != len(self._forged):
            return
        if shard.read_bytes() != self._forged:
            shard.write_bytes(self._forged)
            self.struck += 1
        document = json.loads(manifest.read_text())
        digest = hashlib.sha256(self._forged).hexdigest()
        forged = [
            {**row, "sha256": digest} if row["path"] == self._victim else row for row in document["files"]
        ]
        if forged != document["files"]:
            manifest.write_text(json.dumps({"files": forged}))
