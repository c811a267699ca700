"""Volumes on this machine's disk: ``<root>/<name>/`` holds volume.img, its mount point fs/, and volume.json.

What pods see is the folder ``fs/data`` inside the mounted file system. It exists only while the image is mounted, so
that a pod that starts too early meets "no such directory" and is tried again, instead of writing beneath the mount
point; and lost+found stays out of sight.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from weighbridge_sandbox.commands import run
from weighbridge_sandbox.errors import CommandError, SandboxError

log = logging.getLogger(__name__)

BYTES_PER_INODE = 65536
"""Model files are few and large; ext4's default would give 1.6 % of the volume to inode tables."""

Run = Callable[[Sequence[str | Path]], object]


class DiskFullError(SandboxError):
    """The disk cannot hold a volume of the requested size next to what was promised to the others."""


@dataclass(frozen=True, slots=True)
class Record:
    """What volume.json keeps for the time after a restart: whose volume it is and whether it goes with its claim."""

    claim_uid: str
    reclaim: str


@dataclass(frozen=True)
class LoopFiles:
    """All volumes under one folder. Every method may be repeated after a kill at any point."""

    root: Path
    run: Run = run

    def data(self, name: str) -> Path:
        """The folder that the PersistentVolume names."""
        return self.root / name / "fs" / "data"

    def ensure(self, name: str, size: int, record: Record) -> Path:
        """Make volume ``name`` of exactly ``size`` bytes (file system overhead included) if absent, and mount it.

        Returns the folder for the PersistentVolume: root:root 0755. Raises DiskFullError, CommandError.
        """
        folder = self.root / name
        image = folder / "volume.img"
        if not image.exists():
            free = self.free()
            if size > free:
                message = (
                    f"the volume asks for {size} bytes; the disk under {self.root} has {max(free, 0)} bytes"
                    " that are neither used nor promised to other volumes"
                )
                raise DiskFullError(message)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "volume.json").write_text(
                json.dumps({"claim": record.claim_uid, "reclaim": record.reclaim})
            )
            unfinished = folder / "volume.img.new"
            with unfinished.open("wb") as file:
                file.truncate(size)
            try:
                self.run(
                    [
                        "mkfs.ext4", "-q", "-F", "-m", "0", "-i", str(BYTES_PER_INODE),
                        "-E", "lazy_itable_init=1,lazy_journal_init=1", str(unfinished),
                    ]
                )  # fmt: skip
            except CommandError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            unfinished.rename(image)
        self.mount(name)
        return self.data(name)

    def mount(self, name: str) -> None:
        """Mount an existing image, if it is not. Raises CommandError."""
        folder = self.root / name
        point = folder / "fs"
        if not os.path.ismount(point):
            point.mkdir(mode=0o700, exist_ok=True)
            self.run(
                [
                    "mount",
                    "-t",
                    "ext4",
                    "-o",
                    "loop,discard,noatime,nodev,nosuid",
                    str(folder / "volume.img"),
                    str(point),
                ]
            )
        self.data(name).mkdir(mode=0o755, exist_ok=True)

    def remove(self, name: str) -> None:
        """Unmount and delete a volume; one that is gone is fine. Raises CommandError."""
        folder = self.root / name
        point = folder / "fs"
        if os.path.ismount(point):
            # Lazily, since a kubelet that still cleans up after the last pod must not keep the volume alive for ever:
            # the loop device goes with its last user, and the file's space with it.
            self.run(["umount", "-l", str(point)])
        if folder.exists():
            shutil.rmtree(folder)

    def names(self) -> list[str]:
        """Every volume that has an image, or the beginnings of one."""
        if not self.root.is_dir():
            return []
        return sorted(folder.name for folder in self.root.iterdir() if folder.is_dir())

    def recover(self) -> None:
        """Mount every image again, as after a restart of the machine. One that fails is logged and left as it is."""
        for name in self.names():
            if (self.root / name / "volume.img").exists():
                try:
                    self.mount(name)
                except CommandError as error:
                    log.error("volume %s cannot be mounted: %s", name, error)  # noqa: TRY400 - one line each

    def record(self, name: str) -> Record | None:
        """What is known about a volume's owner; None if it was never finished."""
        try:
            kept = json.loads((self.root / name / "volume.json").read_text())
            return Record(claim_uid=str(kept["claim"]), reclaim=str(kept["reclaim"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, name: str) -> None:
        """Remember that the volume outlives its PersistentVolume (its reclaim policy was changed to Retain)."""
        record = self.record(name)
        if record is not None:
            kept = {"claim": record.claim_uid, "reclaim": "Retain"}
            (self.root / name / "volume.json").write_text(json.dumps(kept))

    def free(self) -> int:
        """Bytes of the disk that are neither used nor promised: images are sparse, and each may yet be filled."""
        self.root.mkdir(parents=True, exist_ok=True)
        promised = 0
        for image in self.root.glob("*/volume.img"):
            found = image.stat()
            promised += max(0, found.st_size - found.st_blocks * 512)
        return shutil.disk_usage(self.root).free - promised
