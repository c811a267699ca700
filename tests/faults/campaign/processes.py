"""Processes of one run, found below its own in /proc, and those in its pods, found by the volume that they mount."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

Match = Callable[[list[str]], bool]

_LOOK_EVERY_SECONDS = 0.2


def named(*names: str) -> Match:
    """The program's file has one of these names."""
    return lambda argv: bool(argv) and Path(argv[0]).name in names


def mentions(word: str, but: str = "process_guard.py") -> Match:
    """One of the first arguments contains ``word``; guards, which repeat their child's command line, do not count."""
    return lambda argv: any(word in argument for argument in argv[:5]) and not any(but in one for one in argv)


def is_guard(argv: list[str]) -> bool:
    return any("process_guard.py" in argument for argument in argv[:5])


class Family:
    """Everything that one run has started, remembered also when its parents are gone. A thread keeps looking."""

    def __init__(self, pid: int) -> None:
        self._known: dict[tuple[int, float], psutil.Process] = {}
        self._commands: dict[tuple[int, float], list[str]] = {}
        self.folders: set[Path] = set()
        """Private folders that were handed to children."""
        self._stop = threading.Event()
        self._lock = threading.Lock()
        with contextlib.suppress(psutil.Error):
            self._add(psutil.Process(pid))
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)
        self._thread.start()

    def find(self, match: Match) -> psutil.Process | None:
        """The newest living member that fits."""
        with self._lock:
            rows = [(key, self._commands[key]) for key in self._known]
        for key, argv in sorted(rows, key=lambda row: -row[0][1]):
            if match(argv) and _lives(self._known[key]):
                return self._known[key]
        return None

    def living(self) -> list[psutil.Process]:
        with self._lock:
            return [process for process in self._known.values() if _lives(process)]

    def describe(self) -> list[str]:
        """The living members' command lines, shortened."""
        with self._lock:
            rows = [(key, process) for key, process in self._known.items() if _lives(process)]
        return [f"process {key[0]}: {' '.join(self._commands[key])[:160]}" for key, _ in rows]

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _keep_looking(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        children: dict[int, list[int]] = {}
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError, ValueError):
                    stat = Path(entry.path, "stat").read_text()
                    children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
        for parent in self.living():
            for pid in _below(children, parent.pid):
                with contextlib.suppress(psutil.Error):
                    self._add(psutil.Process(pid))

    def _add(self, process: psutil.Process) -> None:
        key = (process.pid, process.create_time())
        argv = process.cmdline()
        with self._lock:
            # A child is a copy of its parent until it has called exec: look at its arguments again.
            self._known.setdefault(key, process)
            self._commands[key] = argv or self._commands.get(key, [])
        if is_guard(argv) and "--remove" in argv:
            self.folders.add(Path(argv[argv.index("--remove") + 1]))


def _below(children: dict[int, list[int]], pid: int) -> list[int]:
    found, ahead = [], list(children.get(pid, []))
    while ahead:
        found.append(ahead.pop())
        ahead += children.get(found[-1], [])
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def kill(process: psutil.Process, number: signal.Signals = signal.SIGKILL) -> bool:
    """Whether the signal reached it."""
    try:
        process.send_signal(number)
    except psutil.Error:
        return False
    return True


def in_pods(volume: Path, match: Match) -> list[psutil.Process]:
    """Processes of containers that mount the file system below ``volume``, as this machine's kernel shows them."""
    device = volume.stat().st_dev
    mark = f" {os.major(device)}:{os.minor(device)} "
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            argv = process.cmdline()
            if match(argv):
                lines = Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines()
                if any(mark in line and " /weights " in line for line in lines):
                    found.append(process)
    return found


def await_end(living: Callable[[], list[str]], seconds: float) -> list[str]:
    """What is still there after so long; empty as soon as nothing is."""
    until = time.monotonic() + seconds
    while (left := living()) and time.monotonic() < until:
        time.sleep(0.1)
    return left
