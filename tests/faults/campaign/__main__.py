"""``python -m faults.campaign --seed N --trials 200``: see ``--help``."""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from faults.campaign.catalogue import CATALOGUE
from faults.campaign.draw import PHASES, Fault, Trial, draw
from faults.campaign.ground import Ground, prepared
from faults.campaign.report import Record, document, line
from faults.campaign.sandbox import await_health
from faults.campaign.trial import Conduct, Result
from support.sandbox import enter_sandbox
from weighbridge_sandbox.layout import Layout

DOCUMENT = Path("docs/faults.md")
ROUTES = ("fetch", "push")


@dataclass
class Campaign:
    """Trials of one seed on two grounds: those that hurt only their own run on both at once, the others one by one."""

    seed: int
    catalogue: Sequence[Fault]
    layout: Layout
    folder: Path
    record: Record
    version: str
    """The commit that is hurt."""
    until: float = float("inf")
    failed: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, trials: Sequence[Trial]) -> None:
        routes = sorted({trial.route for trial in trials})
        with ExitStack() as stack, ThreadPoolExecutor(max_workers=2) as pool:
            names = [f"faults-{route}-{self.seed % 1000}-{random.randrange(1000)}" for route in routes]
            tenants = [
                prepared(name, route, self.folder / name, self.layout)
                for name, route in zip(names, routes, strict=True)
            ]
            grounds = list(pool.map(stack.enter_context, tenants))
            by_route = {ground.route: ground for ground in grounds}
            own = [
                [trial for trial in trials if trial.route == route and not trial.shared] for route in routes
            ]
            try:
                list(pool.map(lambda mine: self._all(mine, by_route), own))
            except BaseException:  # Ctrl-C: the trials under way end, no other begins
                self.until = 0.0
                raise
            self._all([trial for trial in trials if trial.shared], by_route)

    def _all(self, trials: Sequence[Trial], by_route: Mapping[str, Ground]) -> None:
        for trial in trials:
            self._one(trial, by_route[trial.route])

    def _one(self, trial: Trial, ground: Ground) -> None:
        if time.monotonic() > self.until:
            return
        known = {fault.name: fault for fault in self.catalogue}
        first_run = ground.runs + 1
        health = (lambda: await_health(self.layout)) if trial.shared else (lambda: None)
        conduct = Conduct(trial, ground, known, health)
        try:
            result = conduct.run()
        except Exception as error:  # noqa: BLE001 - a trial that cannot be judged is a failed one, and the others go on
            result = conduct.result
            result.problems.append(f"the trial itself broke off: {type(error).__name__}: {error}")
        self._conclude(result, ground, first_run)

    def _conclude(self, result: Result, ground: Ground, first_run: int) -> None:
        with self.lock:
            self.record.add({**result.row, "version": self.version})
            say(line(result.row, self.seed))
            if result.problems:
                self.failed.append(result.number)
                for problem in result.problems:
                    say(f"    {problem}")
                say(f"    logs: {ground.folder}/runs from {first_run:04d} to {ground.runs:04d}")
                say(f'    again: make test-faults ARGS="--seed {self.seed} --only {result.number}"')
                return
        for number in range(first_run, ground.runs + 1):
            for folder in (ground.folder / "runs").glob(f"{number:04d}-*"):
                shutil.rmtree(folder, ignore_errors=True)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="make test-faults ARGS=…", description="Hurt real runs; look at what is lost."
    )
    top.add_argument("--seed", type=int, default=4, help="decides every trial (default: 4)")
    top.add_argument("--trials", type=int, default=200, help="how many (default: 200)")
    top.add_argument("--only", type=int, action="append", metavar="N", help="this trial of the seed alone")
    top.add_argument(
        "--faults",
        metavar="NAME,…",
        help="only trials of these faults: " + ", ".join(f.name for f in CATALOGUE),
    )
    top.add_argument("--changes", metavar="NAME,…", help="only trials that change this: " + ", ".join(PHASES))
    top.add_argument(
        "--part", choices=("own", "shared"), help="only trials that hurt their own run, or the whole sandbox"
    )
    top.add_argument("--hours", type=float, help="a soak: further seeds until the time is over; no document")
    top.add_argument(
        "--out", type=Path, default=Path("var/faults"), help="record and logs (default: var/faults)"
    )
    top.add_argument("--go-on", action="store_true", help="add to the record of this seed what it lacks")
    top.add_argument("--document", action="store_true", help=f"only write {DOCUMENT} from the record")
    return top


def chosen(arguments: argparse.Namespace, seed: int, done: set[int]) -> list[Trial]:
    """The trials that are still to be run."""
    numbers = arguments.only or [number for number in range(arguments.trials) if number not in done]
    trials = [draw(seed, number, CATALOGUE) for number in numbers]
    names = set(arguments.faults.split(",")) if arguments.faults else None
    changes = set(arguments.changes.split(",")) if arguments.changes else set(PHASES)
    return [
        trial
        for trial in trials
        if (names is None or {strike.fault for strike in trial.strikes} <= names)
        and trial.change in changes
        and (arguments.part is None or trial.shared == (arguments.part == "shared"))
    ]


def seeds(arguments: argparse.Namespace, until: float) -> Iterator[int]:
    seed = int(arguments.seed)
    yield seed
    while arguments.hours and time.monotonic() < until:
        seed += 1
        yield seed


def _version() -> str:
    """The commit of the checkout; with ``+`` where files differ from it."""
    git = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def main() -> int:
    arguments = parser().parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    until = time.monotonic() + arguments.hours * 3600 if arguments.hours else float("inf")
    failed: list[int] = []
    for seed in seeds(arguments, until):
        record = Record(arguments.out / f"seed-{seed}.jsonl")
        if not (arguments.go_on or arguments.only or arguments.document):
            record.path.unlink(missing_ok=True)
        if not arguments.document:
            layout = enter_sandbox()
            trials = chosen(arguments, seed, set(record.rows()))
            say(f"seed {seed}: {len(trials)} trials, {len(CATALOGUE)} faults")
            logs = arguments.out.absolute() / "logs"
            campaign = Campaign(seed, CATALOGUE, layout, logs, record, _version(), until)
            campaign.run(trials)
            failed += campaign.failed
        if not arguments.hours:
            rows = [row for _, row in sorted(record.rows().items())]
            lost = [row["number"] for row in rows if row["problems"]]
            if not arguments.only:
                DOCUMENT.write_text(document(rows, seed, CATALOGUE))
            say(f"seed {seed}: {len(rows)} trials in the record, lost: {lost or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
