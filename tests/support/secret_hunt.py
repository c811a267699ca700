"""Looks for planted secrets wherever a run could have left them, in clear and in the encodings that hide them from a grep."""

import base64
import contextlib
import itertools
import json
import os
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, quote_plus

from support.stacks_lab import processes_below
from weighbridge.errors import WeighbridgeError

MEMORY = Path("/dev/shm")
LOOK_EVERY_SECONDS = 0.05
LIST_EVERY_SECONDS = 0.7


def forms(value: str) -> set[bytes]:
    """``value`` as it may be written: clear, within JSON or a URL, as hex, and in base64 wherever in a text it began."""
    raw = value.encode()
    found = {
        raw,
        json.dumps(value)[1:-1].encode(),
        quote(value, safe="").encode(),
        quote_plus(value).encode(),
    }
    found |= {quote(value).encode(), raw.hex().encode()}
    for lead in range(3):
        whole = base64.b64encode(b"\0" * lead + raw)
        # The first and the last characters also hold bits of what stands around the value.
        inner = whole[(0, 2, 3)[lead] : len(whole) - (0, 3, 2)[(lead + len(raw)) % 3]]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


@dataclass
class Hunt:
    """Planted values by name, and where each was found."""

    planted: Mapping[str, str]
    findings: list[str] = field(default_factory=list)
    looked_at: int = 0
    """How many files, outputs, objects and processes were searched."""

    def __post_init__(self) -> None:
        self._forms = {name: forms(value) for name, value in self.planted.items()}

    def search(self, where: str, content: bytes | str, names: Collection[str] | None = None) -> bool:
        """Note every planted value in ``content``; true if there is one."""
        data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        self.looked_at += 1
        hits = [
            f"{name} in {where}"
            for name, written in self._forms.items()
            if (names is None or name in names) and any(form in data for form in written)
        ]
        self.findings += [hit for hit in hits if hit not in self.findings]
        return bool(hits)

    def search_tree(
        self, root: Path, besides: Collection[Path] = (), names: Collection[str] | None = None
    ) -> None:
        """Every file below ``root``, packed ones unpacked, and every file's name; not those of ``besides``."""
        for path in files_below(root):
            if any(path.is_relative_to(one) for one in besides):
                continue
            self.search(f"the name of {path}", str(path), names)
            with contextlib.suppress(FileNotFoundError, PermissionError):
                content = path.read_bytes()
                self.search(str(path), content, names)
                if content[:2] == b"\x1f\x8b":
                    # As far as it goes: a file may be cut off where its writer was killed.
                    unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content)
                    self.search(f"{path}, unpacked", unpacked, names)


def files_below(root: Path) -> list[Path]:
    """Regular files, as far as they stay while one looks: others make and remove theirs all the time."""
    found = [Path(folder) / name for folder, _, names in os.walk(root) for name in names]
    return [path for path in sorted(found) if path.is_file() and not path.is_symlink()]


@dataclass
class Onlooker:
    """What somebody on this machine, and somebody with ``get`` in the namespace, sees of a run while it lasts.

    A context manager around a process. Its own argv and environment are the user's; those of its descendants are ours.
    """

    hunt: Hunt
    process: "subprocess.Popen[str]"
    objects: Callable[[], Iterable[tuple[str, str]]]
    """(what, JSON) of everything in the namespace but Secrets."""
    private: Collection[str]
    """Names of values that nobody else on this machine uses, so that they can be searched for in memory files."""
    descendants: set[Path] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    """First words of the command lines that were seen."""
    failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._seen: set[tuple[Path, bytes]] = set()
        self._own = _read(Path(f"/proc/{self.process.pid}/cmdline"))
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(look, pause), daemon=True)
            for look, pause in ((self._processes, LOOK_EVERY_SECONDS), (self._objects, LIST_EVERY_SECONDS))
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        if self.failure is not None and error is None:
            raise AssertionError(f"the onlooker could not look: {self.failure}") from self.failure

    def gone(self, seconds: float = 45) -> bool:
        """Whether every descendant has ended, waiting for that."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(_read(one / "cmdline") for one in self.descendants):
            time.sleep(0.1)
        return not any(_read(one / "cmdline") for one in self.descendants)

    def _repeat(self, look: Callable[[], None], pause: float) -> None:
        try:
            while not self._stop.wait(pause):
                look()
        except BaseException as error:  # noqa: BLE001  told at the end: a test must not pass because nobody looked
            self.failure = error

    def _processes(self) -> None:
        for place in processes_below(self.process.pid):
            self.descendants.add(place)
            argv = _read(place / "cmdline")
            if not argv or argv == self._own or (place, argv) in self._seen:
                continue  # forked from the orchestrator and not yet another program: its memory is the user's own
            environment = _read(place / "environ")
            if _read(place / "cmdline") != argv:
                continue  # it became another program between the two looks
            self._seen.add((place, argv))
            words = argv.replace(b"\0", b" ").decode(errors="replace")
            self.programs.add(words)
            self.hunt.search(f"argv of {words[:80]}", argv)
            self.hunt.search(f"environment of {words[:80]}", environment)
        self._memory()

    def _memory(self) -> None:
        """Files in memory may hold secrets while the run lasts, but for their owner alone."""
        folders = [path for path in MEMORY.iterdir() if path.name.startswith("weighbridge-")]
        for path in itertools.chain.from_iterable(map(files_below, folders)):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                status = path.stat()
                folder = path.relative_to(MEMORY).parts[0]
                closed = not (status.st_mode & 0o077) and not ((MEMORY / folder).stat().st_mode & 0o077)
                if not closed:
                    self.hunt.search(
                        f"{path}, mode {status.st_mode & 0o777:o}", path.read_bytes(), self.private
                    )

    def _objects(self) -> None:
        try:
            found = list(self.objects())
        except WeighbridgeError as error:
            if error.code != "cluster-unreachable":  # the API server was restarted; the next look will see
                raise
            return
        for what, text in found:
            self.hunt.search(what, text)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
