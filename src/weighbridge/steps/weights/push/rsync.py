"""One run of the rsync client: its options, its progress, the meaning of its exit code.

Options (rsync(1)): the receiver runs without privileges, under a random UID, on a volume whose root it does not own.
So neither permissions, owners nor times are transferred; ``--chmod`` gives new files a mode that the serving pods'
group can read. ``--inplace`` writes under the final name in staging, so an interrupted file can be continued. The
name never proves that a file is complete: ``publish`` reads every byte. Compression is off: weights hardly shrink,
and it costs more than it saves.
"""

import contextlib
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.steps.weights.push.manifest import Manner
from weighbridge.steps.weights.push.process import find, start, stop

OLDEST = (3, 1, 0)
"""``--info`` came with 3.1.0. The rsync of macOS (openrsync) has neither it nor ``--append-verify``."""

_COMMON = (
    "--recursive", "--relative", "--inplace", "--partial", "--no-perms", "--no-owner", "--no-group", "--no-times", "--omit-dir-times",
    "--no-links", "--no-devices", "--no-specials", "--no-compress", "--chmod=D775,F664", "--protect-args", "--8-bit-output",
)  # fmt: skip

_MANNERS = {
    Manner.WHOLE: ("--whole-file", "--ignore-times"),
    Manner.APPEND: ("--append-verify",),
    Manner.DELTA: ("--no-whole-file", "--ignore-times"),
}

_PROGRESS = re.compile(rb"^\s*([\d,.]+)\s+\d+%")
_SENT = re.compile(r"^Literal data: ([\d,.]+)", re.MULTILINE)
_KEPT_OUTPUT = 16 * 1024

EXPLAINED = {
    1: "rsync does not know one of the options: the rsync here or in the pod's image is too old",
    2: "the two rsyncs cannot speak to each other: one of them is too old",
    3: "a file or folder could not be chosen: it has gone, or the volume refuses it",
    4: "one of the two rsyncs cannot do what was asked",
    5: "the rsync daemon in the pod could not be spoken to",
    6: "the rsync daemon could not write its log",
    10: "the connection to the rsync pod broke",
    11: "a file could not be written or read",
    12: "the connection to the rsync pod ended in the middle of its protocol",
    13: "rsync could not report what happened",
    14: "rsync could not talk to its own helper process",
    20: "rsync was stopped by a signal",
    21: "rsync lost a helper process",
    22: "rsync ran out of memory",
    23: "some files could not be sent or written",
    24: "some files vanished from the spool while they were sent",
    25: "more files were to be deleted than allowed",
    30: "nothing moved for too long",
    35: "the rsync daemon in the pod did not answer in time",
    255: "the program that carries rsync (kubectl exec) failed",
}
"""Exit codes of rsync(1), section "Exit values", in words for this use."""

TRANSIENT = frozenset({5, 10, 12, 20, 21, 30, 35, 255})
"""Failures of the connection, not of files: try again over a fresh connection."""


_REMEDIES = {
    1: "Use an image with rsync 3.1 or newer (`pods.image`), and one here.",
    2: "Use an image with rsync 3.1 or newer (`pods.image`), and one here.",
    11: "Most often the volume is full: make the claim larger (`storage.size`) or keep fewer older sets (`storage.keep`).",
    23: "The pod's user must be able to write the volume: does its storage class honour fsGroup?",
}


class RsyncFailedError(Exception):
    """One run failed. ``code`` is rsync's exit code, negative for a signal."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(EXPLAINED.get(code, f"rsync ended with {code}"))
        self.code = code
        self.said = said

    @property
    def transient(self) -> bool:
        return (self.code in TRANSIENT or self.code < 0) and not self.full and not self.locked_out

    @property
    def locked_out(self) -> bool:
        """Whether the daemon refused our password."""
        return "auth failed on module" in self.said

    @property
    def full(self) -> bool:
        """Whether the volume has no space left, or a quota is used up."""
        return "No space left on device" in self.said or "Disk quota exceeded" in self.said

    def explained(self) -> StepFailedError:
        last = " / ".join(line for line in self.said.strip().splitlines() if line.strip())[-400:]
        if self.full:
            return StepFailedError(
                f"the volume is full: {last}",
                remedy="Make the claim larger (`storage.size`), or keep fewer older sets (`storage.keep`), then run the same command again. "
                "Bytes, inodes and quotas are all called so: `df -h` and `df -i` in a pod with the claim tell which.",
                code="volume-full",
            )
        if self.locked_out:
            return StepFailedError(
                f"the rsync pod does not know this run's password: {last}",
                remedy="Another run may have started a pod of the same name: wait until it has ended, then run the same command again.",
                code="pod-of-another-run",
            )
        remedy = (
            "Run the same command again: it goes on where it stopped."
            if self.transient
            else _REMEDIES.get(self.code, "Rsync's own words stand above.")
        )
        return StepFailedError(
            f"{self} (rsync exit {self.code}: {last or 'no message'})",
            remedy=remedy,
            code=f"rsync-{self.code}",
            transient=self.transient,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """How to call rsync over one connection to the pod."""

    options: tuple[str, ...]
    staging: str
    """Path prefix of files in transfer, ending in ``/``."""
    receipts: str
    """Path prefix of receipts, ending in ``/``."""
    env: Mapping[str, str]


class Rsync:
    """The rsync client of this machine. A run ends after ``stall_seconds`` without any byte."""

    def __init__(self, stall_seconds: int, program: str | None = None) -> None:
        self._program = program or find(("rsync",), "the route `push` sends with it")
        self._stall = stall_seconds
        self._child: subprocess.Popen[bytes] | None = None
        _check_version(self._program)

    def send(  # noqa: PLR0913 - one call needs all of it
        self,
        target: Target,
        tree: Path,
        names: Sequence[str],
        manner: Manner,
        *,
        deadline: float,
        advanced: Callable[[int], None] = lambda _position: None,
    ) -> int:
        """Send the files ``names``, relative to ``tree``, to the same names in the target's staging. Return the bytes
        of content that were sent.

        Call ``advanced`` with the bytes done in this run, including matched ones. Raise ``RsyncFailedError``.
        """
        listed = tree / ".names"
        listed.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        said = self._run(
            [*_COMMON, *_MANNERS[manner], f"--files-from={listed}", "--info=progress2,stats2", "--no-human-readable", "--outbuf=N"],
            target, f"{tree}/", target.staging, deadline=deadline, advanced=advanced,
        )  # fmt: skip
        return _number(_SENT.search(said))

    def send_small(self, target: Target, tree: Path, name: str, *, deadline: float) -> None:
        """Replace one small file by rename: a reader sees the old file or the new one, never a part."""
        listed = tree / ".names"
        listed.write_text(f"{name}\n", encoding="utf-8")
        options = [option for option in _COMMON if option not in {"--inplace", "--partial"}]
        self._run(
            [*options, "--whole-file", "--ignore-times", f"--files-from={listed}"],
            target,
            f"{tree}/",
            target.staging,
            deadline=deadline,
        )

    def fetch_small(self, target: Target, origin: str, name: str, into: Path, *, deadline: float) -> None:
        """Copy the file ``name`` from ``origin``, one of the target's prefixes, to ``into``. Do nothing if it is missing."""
        self._run(["--recursive", "--no-perms", "--no-times", "--chmod=D700,F600", "--protect-args", "--prune-empty-dirs", "--ignore-times", *_only((name,))],
                  target, origin, f"{into}/", deadline=deadline)  # fmt: skip

    def sizes(self, target: Target, into: Path, folder: str, *, deadline: float) -> dict[str, int]:
        """Return the size in bytes of every file under ``folder`` of the target's staging, by relative path; empty if
        the folder is missing.
        """
        said = self._run(
            ["--recursive", "--dry-run", "--protect-args", "--8-bit-output", "--ignore-times", "--out-format=%l\t%n", *_only((f"{folder}/***",))],
            target, target.staging, f"{into}/nothing/", deadline=deadline, keep=None,
        )  # fmt: skip
        found: dict[str, int] = {}
        for line in said.splitlines():
            size, tab, name = line.partition("\t")
            if tab and name.startswith(f"{folder}/") and not name.endswith("/"):
                found[name.removeprefix(f"{folder}/")] = int(size)
        return found

    def abort(self) -> None:
        """Stop the running rsync, if any."""
        if self._child is not None:
            stop(self._child)

    def _run(  # noqa: PLR0913 - the only place that starts it
        self,
        options: Sequence[str],
        target: Target,
        origin: str,
        destination: str,
        *,
        deadline: float,
        advanced: Callable[[int], None] = lambda _position: None,
        keep: int | None = _KEPT_OUTPUT,
    ) -> str:
        argv = [self._program, *options, f"--timeout={self._stall}", *target.options, origin, destination]
        child = start(argv, target.env)
        self._child = child
        lines: list[str] = []
        kept = 0
        try:
            for line in _lines(child, deadline, silence=self._stall * 2):
                progress = _PROGRESS.match(line)
                if progress:
                    advanced(_number(progress))
                    continue
                lines.append(line.decode("utf-8", "surrogateescape"))
                kept += len(line)
                while keep is not None and kept > keep:
                    kept -= len(lines.pop(0))
            code = child.wait(30)
        except TimeoutError as error:
            raise RsyncFailedError(30, str(error)) from error
        finally:
            stop(child)
            self._child = None
        said = "\n".join(lines)
        if code != 0:
            raise RsyncFailedError(code, said)
        return said


def _only(names: Sequence[str]) -> Iterator[str]:
    """Yield filters that pass exactly ``names`` and the folders above them."""
    seen: set[str] = set()
    for name in names:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in seen:
                seen.add(parent)
                yield f"--include=/{_literal(parent)}/"
        yield f"--include=/{_literal(name.removesuffix('/***'))}{'/***' if name.endswith('/***') else ''}"
    yield "--exclude=*"


def _literal(name: str) -> str:
    """Return a name as a filter pattern (rsync(1), "Pattern matching rules": a backslash escapes only with wildcards)."""
    return re.sub(r"([\[*?\\])", r"\\\1", name) if re.search(r"[\[*?]", name) else name


def _lines(child: subprocess.Popen[bytes], deadline: float, silence: float) -> Iterator[bytes]:
    """Yield lines of the child's output, ended by CR or LF. Raise ``TimeoutError`` at the deadline or in too long a silence."""
    assert child.stdout is not None  # noqa: S101 - started with a pipe
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                message = "the deadline passed"
                raise TimeoutError(message)
            if not selector.select(min(left, silence)):
                if left > silence:
                    message = f"rsync said nothing for {silence:.0f} s"
                    raise TimeoutError(message)
                continue
            data = child.stdout.read(65536)
            if not data:
                break
            *whole, pending = re.split(rb"[\r\n]", pending + data)
            yield from (line for line in whole if line)
    if pending:
        yield pending


def _number(match: "re.Match[str] | re.Match[bytes] | None") -> int:
    if match is None:
        return 0
    text = match.group(1)
    return int((text if isinstance(text, str) else text.decode()).replace(",", "").replace(".", ""))


def _check_version(program: str) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
        found = re.match(r"rsync\s+version\s+v?(\d+)\.(\d+)\.(\d+)", said)
        if found and tuple(int(part) for part in found.groups()) >= OLDEST:
            return
        raise PreconditionError(
            f"{program} is not an rsync of at least {'.'.join(map(str, OLDEST))}: {said.splitlines()[0] if said else 'it says nothing'}",
            remedy="Install rsync 3 (Homebrew, or your distribution's package) and put it on PATH, or use the route `fetch`.",
            code="rsync-too-old",
        )
    raise PreconditionError(
        f"{program} cannot be run", remedy="Install rsync 3 and put it on PATH.", code="rsync-too-old"
    )
