"""The results of a session's verbs."""

from collections.abc import Mapping
from dataclasses import dataclass

from weighbridge.core.outcome import Done, Failed, Skipped
from weighbridge.core.plan import Plan
from weighbridge.core.run import StepResult
from weighbridge.core.step import Destroyed, StepStatus, Verification
from weighbridge.domain.digest import Json
from weighbridge.domain.stacks import ResourceChange
from weighbridge.errors import StepFailedError, VerificationError, WeighbridgeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an apply did."""

    plan: Plan
    results: tuple[StepResult, ...]
    seconds: float

    @property
    def failures(self) -> tuple[Failed, ...]:
        return tuple(result.outcome for result in self.results if isinstance(result.outcome, Failed))

    @property
    def changed(self) -> bool:
        return any(isinstance(result.outcome, Done) for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 without failures; 4 if a step failed; 3 if every item was refused for reasons found during the run (a
        claim that stays Pending, an image that cannot be pulled), so that no item arrived. If only some of several
        items fail, always 4, whether the others arrived now or earlier.
        """
        codes = {failure.error.exit_code for failure in self.failures}
        items = [result.outcome for result in self.results if result.planned.item is not None]
        failed = sum(isinstance(outcome, Failed) for outcome in items)
        arrived = any(isinstance(outcome, Done) for outcome in items) or 0 < failed < len(items)
        if not codes:
            return 0
        return codes.pop() if len(codes) == 1 and not arrived else StepFailedError.exit_code

    @property
    def complete(self) -> bool:
        return not any(isinstance(result.outcome, Failed | Skipped) for result in self.results)

    @property
    def lines(self) -> tuple[str, ...]:
        """What the steps print at the end."""
        return tuple(line for result in self.results for line in result.finished.lines)

    @property
    def adds(self) -> dict[str, list[Json]]:
        """Lists that the steps add to the ``applied`` message."""
        found: dict[str, list[Json]] = {}
        for result in self.results:
            for key, value in result.finished.adds.items():
                found.setdefault(key, []).append(value)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The result of a verification, item by item."""

    items: tuple[Verification, ...]
    seconds: float

    @property
    def damaged(self) -> tuple[str, ...]:
        """Items whose stored bytes are wrong."""
        return tuple(item for item, error in self._errors.items() if isinstance(error, VerificationError))

    @property
    def failures(self) -> dict[str, WeighbridgeError]:
        """Why items could not be verified. A damaged item is a finding, not a failure."""
        return {item: error for item, error in self._errors.items() if item not in self.damaged}

    @property
    def exit_code(self) -> int:
        """5 if bytes differ, 4 if an item could not be verified, else 0."""
        if self.damaged:
            return VerificationError.exit_code
        return StepFailedError.exit_code if self.failures else 0

    @property
    def _errors(self) -> dict[str, WeighbridgeError]:
        return {found.item: found.outcome.error for found in self.items if isinstance(found.outcome, Failed)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    where: str
    namespace: str
    items: tuple[str, ...]
    parts: Mapping[str, StepStatus]
    """By step name."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyedAll:
    """What a destroy deleted, in order."""

    parts: tuple[Destroyed, ...]

    @property
    def removed(self) -> tuple[ResourceChange, ...]:
        return tuple(change for part in self.parts for change in part.removed)

    @property
    def message(self) -> dict[str, Json]:
        """What the steps add to the ``destroyed`` message."""
        return {key: value for part in self.parts for key, value in part.message.items()}
