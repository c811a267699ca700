"""One trial from the change to the verdict."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from faults.campaign import checks
from faults.campaign.command import Command
from faults.campaign.draw import Fault, Strike, Trial
from faults.campaign.ground import Ground
from faults.campaign.inject import MissedError, Scene, changes_for, inject, variables_for
from faults.campaign.witness import Witness

RUNS_AFTER = 3
"""So often the same command may be needed until it succeeds."""
_AGAIN = (1.0, 0.4, 0.0)
"""A strike that missed is tried again, earlier."""
_RATE = 96 * 1024
"""Bytes a second and connection while weights move, so that there is a middle to strike at."""


@dataclass
class Result:
    """One row of the record."""

    number: int
    faults: list[str]
    change: str
    route: str
    struck: bool = False
    moment: str = ""
    """Phase, and age of the run when the strike had been done."""
    exits: list[int] = field(default_factory=list)
    """Of the struck runs, in order."""
    runs_after: int = 0
    """How many further runs it took until exit 0."""
    seconds: float = 0.0
    swept: int = 0
    """Private folders that a killed run left, for the next run to remove."""
    problems: list[str] = field(default_factory=list)

    @property
    def row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Conduct:
    """A trial on its ground. Use once."""

    trial: Trial
    ground: Ground
    catalogue: Mapping[str, Fault]
    await_health: Callable[[], None]
    """Returns when nothing of the sandbox is down any more."""
    commands: list[Command] = field(default_factory=list)
    result: Result = field(init=False)

    def __post_init__(self) -> None:
        faults = [strike.fault for strike in self.trial.strikes]
        self.result = Result(self.trial.number, faults, self.trial.change, self.trial.route)

    def run(self) -> Result:
        """Change something, run and strike, run again until it succeeds, look at everything. What the product did
        wrong is in ``problems``.
        """
        begun = time.monotonic()
        try:
            with Witness(self.ground) as witness:
                for share in _AGAIN:
                    self._change()
                    if self._strike(share):
                        break
                self._recover()
            self.result.problems += witness.seen_wrong
        finally:
            for command in self.commands:
                command.close()
            self.ground.proxy.calm()
        self.result.seconds = round(time.monotonic() - begun, 1)
        return self.result

    def _recover(self) -> None:
        if self.trial.change == "destroy":
            self._finish("destroy")
            self.result.problems += checks.gone(self.ground)
        self._finish("apply")
        if left := checks.forsaken(self.commands):
            self.result.swept = len(left)
            time.sleep(
                checks.SETTLED_SECONDS
            )  # then they are old enough for the next run, which is the plan below
        if self.trial.plans_after or left:
            code, command = self._run("plan", "--expect-no-changes")
            if code != 0:
                self._wrong(f"after the apply a plan ends with {code}: {command.said[-1500:]}")
        self.result.problems += checks.in_place(self.ground)
        self.result.problems += checks.untouched(self.ground)
        self.result.problems += checks.orphans(self.ground, self.commands)

    def _change(self) -> None:
        change, ground = self.trial.change, self.ground
        if change in {"version", "nothing"}:
            ground.new_version()
        else:
            ground.new_parameter()
        if change == "nothing":
            code, command = self._run("destroy", "--yes", "--weights", ground.claim)
            if code != 0:
                self._wrong(f"destroy --weights ended with {code}: {command.said[-1500:]}")

    def _strike(self, share: float) -> bool:
        """Run with each strike in turn. Whether the first one hit; the second finds what the first has left to do."""
        for index, planned in enumerate(self.trial.strikes):
            hit = self._strike_once(Strike(planned.fault, planned.phase, planned.at * share))
            if index == 0 and not hit:
                return False
        return True

    def _strike_once(self, strike: Strike) -> bool:
        verb = ("destroy", "--yes") if self.trial.change == "destroy" else ("apply",)
        command = self.ground.start(
            *verb, variables=variables_for(strike.fault, self.ground), **changes_for(strike.fault)
        )
        self.commands.append(command)
        scene = Scene(self.ground, command, strike)
        slower = _slow_down_while_weights_move(self.ground, command)
        hit = True
        try:
            inject(scene)
        except MissedError:
            hit = False
        moment = f"{strike.phase} + {command.age:.1f} s"
        code = command.wait()
        slower.join(5)
        scene.heal()
        self.await_health()
        self.result.problems += checks.said_well(command, code)
        if hit:
            self.result.struck = True
            self.result.moment = "; ".join(filter(None, (self.result.moment, moment)))
            self.result.exits.append(code)
            allowed = self.catalogue[strike.fault].exits
            if code not in allowed:
                self._wrong(f"{strike.fault}, {moment}: exit {code}, expected one of {sorted(allowed)}")
        return hit

    def _finish(self, verb: str) -> None:
        """The same command until exit 0, undisturbed."""
        arguments = ("--yes",) if verb == "destroy" else ()
        for _ in range(RUNS_AFTER):
            code, command = self._run(verb, *arguments)
            self.result.runs_after += 1
            if code == 0:
                return
        self._wrong(f"{verb} still ends with {code}: {command.said[-1500:]}")

    def _run(self, verb: str, *arguments: str) -> tuple[int, Command]:
        code, command = self.ground.run(verb, *arguments)
        self.commands.append(command)
        self.result.problems += checks.said_well(command, code)
        return code, command

    def _wrong(self, sentence: str) -> None:
        self.result.problems.append(sentence)


def _slow_down_while_weights_move(ground: Ground, command: Command) -> threading.Thread:
    """Planning reads at full speed; once the step has begun, bytes trickle."""

    def watch() -> None:
        while command.running:
            if command.phase_since("weights") is not None:
                ground.proxy.rate = _RATE
            time.sleep(0.1)
        ground.proxy.rate = 0.0

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread
