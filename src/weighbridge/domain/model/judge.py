"""Everything that is wrong with a model's files, and what is done about it."""

from collections.abc import Mapping, Sequence

from weighbridge.domain.model.flaws import Flaw
from weighbridge.domain.model.kinds import judge_kinds
from weighbridge.domain.model.looked_at import LookedAt
from weighbridge.domain.model.settings import Parameter, judge_parameters, judge_settings
from weighbridge.domain.model.shards import judge_shards
from weighbridge.errors import PreconditionError


def judge(seen: LookedAt, parameters: Mapping[str, Parameter]) -> tuple[Flaw, ...]:
    """Refusals first, each kind in the order in which it is looked for."""
    found = [
        *judge_settings(seen),
        *judge_shards(seen),
        *judge_kinds(seen),
        *judge_parameters(seen, parameters),
    ]
    return tuple(sorted(found, key=lambda flaw: not flaw.refused))


def judge_in_place(seen: LookedAt, parameters: Mapping[str, Parameter]) -> tuple[Flaw, ...]:
    """Of a set that was judged whole when it was brought in: what names say, and how it is to be registered now."""
    return (*judge_kinds(seen), *judge_parameters(seen, parameters))


def refusal(flaws: Sequence[Flaw], where: str) -> PreconditionError | None:
    """One error for all that is refused, or ``None``. ``where``: the model and its source, in words."""
    refused = [flaw for flaw in flaws if flaw.refused]
    if not refused:
        return None
    remedies = dict.fromkeys(flaw.remedy for flaw in refused)
    return PreconditionError(
        f"{where}: {'; '.join(flaw.what for flaw in refused)}",
        remedy=f"{'. '.join(remedies)}.",
        code=refused[0].code,
    )
