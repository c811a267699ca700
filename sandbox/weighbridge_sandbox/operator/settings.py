"""How the stand-in behaves where the real operator's timing and version vary; environment variables, no annotations."""

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "WEIGHBRIDGE_SANDBOX_OPERATOR_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds where the unit is time."""

    pickup_seconds: float = 1.5
    """How long an edit goes unnoticed while the status still says Completed (``…_PICKUP_SECONDS``)."""
    step_seconds: float = 0.25
    """How long each of a reconciliation's steps takes (``…_STEP_SECONDS``)."""
    retry_failed: bool = False
    """Try again after Failed, doubling the pause up to 1000 s, as upstream's ansible-operator does (``…_RETRY_FAILED``)."""
    completion_offset: bool = False
    """Write ``ansibleResult.completion`` with ``+00:00``, as newer ansible-operators do (``…_COMPLETION_OFFSET``)."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Settings from the variables that are set. Raises ValueError naming a variable with an unusable value."""
        default = cls()
        return cls(
            pickup_seconds=_seconds(environment, "PICKUP_SECONDS", default.pickup_seconds),
            step_seconds=_seconds(environment, "STEP_SECONDS", default.step_seconds),
            retry_failed=_flag(environment, "RETRY_FAILED", default=default.retry_failed),
            completion_offset=_flag(environment, "COMPLETION_OFFSET", default=default.completion_offset),
        )


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(PREFIX + name)
    if text is None:
        return default
    message = f"{PREFIX}{name} is {text!r}: it must be a number of seconds from 0 to 3600"
    try:
        value = float(text)
    except ValueError as wrong:
        raise ValueError(message) from wrong
    if not 0 <= value <= 3600:  # noqa: PLR2004 - the message says it
        raise ValueError(message)
    return value


def _flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(PREFIX + name)
    if text is None:
        return default
    if text not in {"0", "1"}:
        message = f"{PREFIX}{name} is {text!r}: it must be 0 or 1"
        raise ValueError(message)
    return text == "1"
