"""One call of the command line that can be watched while it runs, and struck."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faults.campaign.draw import PHASES
from faults.campaign.processes import Family, kill

PROGRAM = os.environ.get("WEIGHBRIDGE_PROGRAM") or Path(sys.executable).parent / "weighbridge"
"""What is hurt; another one than this environment's to try a build."""
LONGEST_SECONDS = 300
"""No run of these small models has a reason to take so long: it counts as hanging, and is ended."""

_TITLES = {
    "stack storage": "storage",
    "weights": "weights",
    "stack registration": "registration",
    "operator": "operator",
}


class Command:
    """``weighbridge VERB FILE --json …`` in a process group of its own, its output in files."""

    def __init__(
        self,
        verb: str,
        file: Path,
        *arguments: str,
        folder: Path,
        cwd: Path,
        variables: Mapping[str, str],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.verb = verb
        self._events: list[tuple[float, dict[str, Any]]] = []
        self._read = 0
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                [PROGRAM, verb, str(file), "--json", *arguments],
                cwd=cwd,
                env={**os.environ, **variables, "TMPDIR": str(temporary)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.started = time.monotonic()
        self.family = Family(self.process.pid)
        self.hung = False

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def age(self) -> float:
        return time.monotonic() - self.started

    def wait(self) -> int:
        """The exit code. A run that hangs is killed with all that belongs to it, and says so in ``hung``."""
        try:
            code = self.process.wait(max(1.0, LONGEST_SECONDS - self.age))
        except subprocess.TimeoutExpired:
            self.hung = True
            self.kill_all()
            code = self.process.wait(30)
        return code

    def kill_all(self) -> None:
        """What the death of the whole machine would do."""
        for process in self.family.living():
            kill(process)

    def interrupt(self, number: signal.Signals) -> None:
        """As a terminal does it: to the whole foreground process group."""
        os.killpg(self.process.pid, number)

    def phase_since(self, phase: str) -> float | None:
        """Seconds since this phase began; ``None`` before."""
        if phase in {PHASES["destroy"][0], "plan"}:
            return self.age
        for at, event in self.events():
            if event.get("type") == "step-started" and _phase(str(event.get("title"))) == phase:
                return time.monotonic() - at
        return None

    def spans(self) -> dict[str, float]:
        """Seconds that each phase took."""
        found: dict[str, float] = {}
        watched = "taken over from a dead run" in self.said  # before it planned
        for at, event in self.events():
            if event.get("type") == "step-started" and not watched:
                found.setdefault("plan", at - self.started)
            if event.get("type") == "step-ended" and event.get("outcome") == "done":
                found[_phase(str(event.get("title")))] = float(event["seconds"])
        return found

    def events(self) -> list[tuple[float, dict[str, Any]]]:
        """What was said on standard error so far, with the moment at which it was read."""
        with (self.folder / "stderr").open("rb") as stream:
            stream.seek(self._read)
            new = stream.read()
        whole = new.rpartition(b"\n")[0]
        if whole:
            self._read += len(whole) + 1
            now = time.monotonic()
            for line in whole.splitlines():
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    self._events.append((now, event))
        return self._events

    @property
    def out(self) -> str:
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def said(self) -> str:
        return self.out + (self.folder / "stderr").read_text(errors="replace")

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object on standard output; empty where there is none."""
        try:
            found = json.loads(self.out)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        self.family.close()


def _phase(title: str) -> str:
    return next((phase for start, phase in _TITLES.items() if title.startswith(start)), "")
