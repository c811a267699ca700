"""Which fault strikes which work at which moment: pure, and the same for the same seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

ORCHESTRATOR = "orchestrator"
"""Exit codes of a run that was killed itself are the signal's."""

PHASES = {
    "parameter": ("plan", "registration", "operator"),
    "version": ("plan", "weights", "registration", "operator"),
    "nothing": ("plan", "storage", "weights", "registration", "operator"),
    "destroy": ("destroy",),
}
"""What is changed before the run, and the phases that the run then has: another parameter, another version of the files,
everything anew from no volume at all, or a destroy (of the registration).
"""

SPANS = {
    "plan": 4.0,
    "storage": 4.0,
    "weights": 12.0,
    "registration": 3.0,
    "operator": 4.0,
    "destroy": 6.0,
}
"""Seconds that a phase may take, until it is known; a strike falls within them."""

_WEIGHTS_OF_CHANGES = {"parameter": 8, "version": 3, "nothing": 1, "destroy": 2}
_WEIGHTS_OF_ROUTES = {"fetch": 3, "push": 1}
"""A push takes longer, and has faults that are its own."""
_TWICE = 0.2
"""Share of trials whose second run is struck as well."""


@dataclass(frozen=True)
class Fault:
    """One way to go wrong. How it is done stands in ``inject.py`` under the same name."""

    name: str
    what: str
    """For the table."""
    phases: frozenset[str]
    """Where it can strike."""
    routes: tuple[str, ...] = ("fetch", "push")
    shared: bool = False
    """Hurts the whole sandbox, not only the trial's own namespace."""
    exits: frozenset[int] = frozenset({0, 3, 4})
    """What the struck run may end with."""
    follows: bool = True
    """Whether it may also be the second of two."""


@dataclass(frozen=True)
class Strike:
    fault: str
    phase: str
    at: float
    """0 to 1: the share of the phase's span, or of what else the fault measures by."""


@dataclass(frozen=True)
class Trial:
    number: int
    route: str
    change: str
    strikes: tuple[Strike, ...]
    shared: bool
    plans_after: bool
    """Whether ``plan --expect-no-changes`` is asked at the end."""


def draw(seed: int, number: int, catalogue: Sequence[Fault]) -> Trial:
    """Trial ``number`` of the campaign with this seed. Every fault comes up once in ``len(catalogue)`` trials."""
    deck = list(catalogue)
    random.Random(f"{seed} deck {number // len(deck)}").shuffle(deck)
    fault = deck[number % len(deck)]
    dice = random.Random(f"{seed} trial {number}")
    changes = [change for change, phases in PHASES.items() if fault.phases & set(phases)]
    change = dice.choices(changes, [_WEIGHTS_OF_CHANGES[one] for one in changes])[0]
    route = dice.choices(fault.routes, [_WEIGHTS_OF_ROUTES[one] for one in fault.routes])[0]
    strikes = [_strike(dice, fault, change)]
    seconds = [
        one
        for one in catalogue
        if one.follows
        and one.shared == fault.shared
        and route in one.routes
        and one.phases & set(PHASES[change])
    ]
    twice = dice.random() < _TWICE
    if twice and seconds:
        strikes.append(_strike(dice, dice.choice(seconds), change))
    return Trial(
        number=number,
        route=route,
        change=change,
        strikes=tuple(strikes),
        shared=fault.shared,
        plans_after=dice.random() < 0.2,
    )


def _strike(dice: random.Random, fault: Fault, change: str) -> Strike:
    phase = dice.choice([one for one in PHASES[change] if one in fault.phases])
    return Strike(fault=fault.name, phase=phase, at=dice.random())
