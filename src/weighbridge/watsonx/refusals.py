"""Why an entry must be left alone, with everything that a person needs to decide."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from weighbridge.domain.visible import quoted, visible
from weighbridge.errors import PreconditionError
from weighbridge.watsonx.entry import Entry


class Reason(StrEnum):
    """Why an entry was left alone."""

    FOREIGN = "foreign"
    """Another author made an entry with this model_id."""
    FOREIGN_EQUAL = "foreign-equal"
    """The same, and the entry equals ours. It is still not ours, so a later destroy must not remove it."""
    CHANGED = "changed"
    """Ours, but somebody changed it to something that we did not write."""
    REPLACED = "replaced"
    """Not the entry that the plan saw."""
    REMOVED = "removed"
    """Gone since the plan, which showed no change of it."""
    UNPROVEN = "unproven"
    """An interrupted run of ours should have written it, and others have written since: it may or may not be ours."""
    NOT_A_LIST = "not-a-list"
    """The whole value is not a list."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One model that cannot be merged, with everything needed to decide."""

    reason: Reason
    model_id: str | None
    """``None`` if it is about the whole list."""
    written: tuple[Entry, ...]
    """The versions that we know to have written."""
    live: tuple[Entry, ...]
    wanted: Entry | None
    """``None`` if it should be removed."""
    detail: str = ""
    seen: str = ""
    """Digest of the entry that the plan saw; empty if there was none."""

    def describe(self) -> str:
        """Return in a sentence what is wrong."""
        model = quoted(self.model_id or "")
        after = "since the plan"
        return {
            Reason.FOREIGN: f"{model} is registered already, by somebody else and differently",
            Reason.FOREIGN_EQUAL: f"{model} is registered already, exactly as wanted, but nothing shows that we did it",
            Reason.CHANGED: f"the entry of {model} was changed by somebody to something we did not write",
            Reason.REPLACED: f"the entry of {model} was replaced by somebody {after} saw it"
            if self.seen
            else f"{model} was registered by somebody {after}, which saw no entry of it",
            Reason.REMOVED: f"the entry of {model} was removed by somebody {after}, which showed no change of it",
            Reason.UNPROVEN: f"the entry of {model} is as an interrupted run of ours was to write it, but others have written the"
            " list since: nothing shows that it is ours",
            Reason.NOT_A_LIST: f"spec.custom_foundation_models is no list: {self.detail}",
        }[self.reason]

    def remedy(self) -> str:
        """Return in a sentence what to do about it."""
        model = shlex.quote(self.model_id or "")
        match self.reason:
            case Reason.FOREIGN | Reason.FOREIGN_EQUAL:
                return f"choose another id, or, if it is yours to take, adopt it: --adopt {model}"
            case Reason.CHANGED if self.wanted is None:
                return (
                    "bring the entry back to what was written (an apply with the model in the environment does), "
                    f"or take it over: --adopt {model}"
                )
            case Reason.CHANGED:
                return f"look at the change (plan shows it) and apply again, or take it over: --adopt {model}"
            case Reason.UNPROVEN:
                return f"ask who else may have registered it; if nobody has, adopt it: apply with --adopt {model}"
            case Reason.REPLACED | Reason.REMOVED:
                return "nothing was written: plan again, look at what stands there now, and apply that plan"
            case Reason.NOT_A_LIST:
                return "the owner of the custom resource has to make it a list, or remove it"

    def versions(self) -> tuple[tuple[str, str], ...]:
        """Return (label, JSON) of what we wrote or the plan saw, what is live and what is wanted, as far as each exists."""
        rows = (
            [("seen", self._seen())]
            if self.reason in {Reason.REPLACED, Reason.REMOVED}
            else [("written", entry.text) for entry in self.written]
        )
        rows += [("live", entry.text) for entry in self.live]
        if self.wanted is not None:
            rows.append(("wanted", self.wanted.text))
        return tuple(rows)

    def _seen(self) -> str:
        """Return the text of what the plan saw. Only its digest is known, unless it is an entry of ours."""
        if not self.seen:
            return "nothing"
        return next(
            (entry.text for entry in self.written if entry.digest == self.seen), f"an entry with {self.seen}"
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing may be written, for these reasons."""

    refusals: tuple[Refusal, ...]

    def error(self, where: str, *, show_values: bool = True) -> "EntriesRefusedError":
        """Return the error for the user: every refusal with the versions in question, or with their names only."""
        lines = []
        for refusal in self.refusals:
            lines.append(refusal.describe())
            if show_values:
                lines += [f"  {label:8}{visible(text)}" for label, text in refusal.versions()]
        remedies = dict.fromkeys(refusal.remedy() for refusal in self.refusals)
        return EntriesRefusedError(f"{where}: " + "\n".join(lines), "; ".join(remedies), self, where)


class EntriesRefusedError(PreconditionError):
    """The live list holds entries with our model_ids that we may not change (exit 3)."""

    def __init__(self, what: str, remedy: str, refused: Refused, where: str) -> None:
        super().__init__(what, remedy=remedy, code=f"entry-{refused.refusals[0].reason}")
        self.refused = refused
        self.where = where

    def without_values(self) -> "EntriesRefusedError":
        """Return the same error with model names only."""
        return self.refused.error(self.where, show_values=False)


def not_ours(
    model_id: str,
    known: Sequence[Entry],
    copies: Sequence[Entry],
    wanted: Entry | None,
    *,
    unproven: bool = False,
) -> Refusal | None:
    """Return why the live ``copies`` of one model must not be changed; ``None`` if they may be."""
    if all(copy in known or (known and copy == wanted) for copy in copies):
        return None
    if known:
        reason = Reason.CHANGED
    elif unproven:
        reason = Reason.UNPROVEN
    elif all(copy == wanted for copy in copies):
        reason = Reason.FOREIGN_EQUAL
    else:
        reason = Reason.FOREIGN
    return Refusal(reason, model_id, tuple(dict.fromkeys(known)), tuple(dict.fromkeys(copies)), wanted)


def replaced_since(
    seen: str, known: Sequence[Entry], copies: Sequence[Entry], wanted: Entry | None
) -> Refusal | None:
    """Return why the live ``copies`` of one model are not what the plan saw; ``None`` if they are, or if they are as wanted."""
    if wanted is not None and not copies and seen == wanted.digest:
        return Refusal(Reason.REMOVED, wanted.model_id, tuple(dict.fromkeys(known)), (), wanted, seen=seen)
    other = [copy for copy in copies if copy.digest != seen and copy != wanted]
    if not other:
        return None
    live = tuple(dict.fromkeys(copies))
    return Refusal(Reason.REPLACED, other[0].model_id, tuple(dict.fromkeys(known)), live, wanted, seen=seen)
