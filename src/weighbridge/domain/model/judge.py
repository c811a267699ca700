"""All flaws of a model's files, and what is done about them."""

from collections.abc import Iterator, Mapping, Sequence

from weighbridge.domain.model.flaws import Flaw, warning
from weighbridge.domain.model.kinds import judge_kinds
from weighbridge.domain.model.looked_at import LookedAt
from weighbridge.domain.model.settings import Parameter, judge_parameters, judge_settings
from weighbridge.domain.model.shards import judge_shards
from weighbridge.domain.names import named
from weighbridge.errors import PreconditionError


def judge(seen: LookedAt, parameters: Mapping[str, Parameter]) -> tuple[Flaw, ...]:
    """Return the flaws, refusals first, each kind in the order of the checks."""
    found = [
        *judge_settings(seen),
        *judge_shards(seen),
        *judge_kinds(seen),
        *judge_parameters(seen, parameters),
        *_left_out(seen),
    ]
    return tuple(sorted(found, key=lambda flaw: not flaw.refused))


def judge_in_place(seen: LookedAt, parameters: Mapping[str, Parameter]) -> tuple[Flaw, ...]:
    """Return the flaws of a set that was judged as a whole when it was brought in: those that names show, and those
    of its present registration.
    """
    return (*judge_kinds(seen), *judge_parameters(seen, parameters))


def _left_out(seen: LookedAt) -> Iterator[Flaw]:
    if seen.left_out:
        yield warning(
            "source-not-looked-at",
            f"{len(seen.left_out)} of {len(seen.sizes)} files were not looked at, because they are too many or their source is slow:"
            f" {named(sorted(seen.left_out))}",
            "Leave behind with `exclude:` what no server reads; what is left is moved as it is",
        )


def refusal(flaws: Sequence[Flaw], where: str) -> PreconditionError | None:
    """Return one error for all refused flaws, or ``None``. ``where``: the model and its source, in words."""
    refused = [flaw for flaw in flaws if flaw.refused]
    if not refused:
        return None
    remedies = dict.fromkeys(flaw.remedy for flaw in refused)
    return PreconditionError(
        f"{where}: {'; '.join(flaw.what for flaw in refused)}",
        remedy=f"{'. '.join(remedies)}.",
        code=refused[0].code,
    )
