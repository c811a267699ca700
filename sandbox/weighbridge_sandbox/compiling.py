"""How far a build is: by bytes of source, because one package takes a thousand times what another does."""

from collections.abc import Mapping

LINKING = 0.05
"""The linker's share of a build that compiles everything; measured on the five programs, 1 to 8 %."""
SHOWN_FROM = 0.02
"""Before, nothing can be told from the pace."""


class Compiling:
    """Told of each package when its compilation begins. `weights`: import path -> bytes of source."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = weights
        self._total = sum(weights.values()) / (1 - LINKING)
        self._begun: set[str] = set()
        self._bytes = 0

    def begin(self, package: str) -> bool:
        """Note a package; False if it is none of this build's."""
        if package not in self._weights:
            return False
        if package not in self._begun:
            self._begun.add(package)
            self._bytes += self._weights[package]
        return True

    def describe(self, elapsed_s: float) -> str:
        """Percent and what is left at this pace; `elapsed_s` since the first package began."""
        share = self._bytes / self._total if self._total else 0.0
        if len(self._begun) == len(self._weights):
            return f"linking ({share:.0%})"
        if share < SHOWN_FROM:
            return f"compiling, {share:.0%}"
        left = elapsed_s * (1 - share) / share
        return f"compiling, {share:.0%}, {_about(left)} left"


def _about(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {max(seconds, 1):.0f} s"  # noqa: PLR2004
