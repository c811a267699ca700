"""What is wrong with a model's files, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flaw:
    """One flaw that a look at a model found."""

    code: str
    """Stable short name, ``kebab-case``."""
    what: str
    """A sentence without a full stop: which file, and what is wrong with it."""
    remedy: str
    """What would be right."""
    refused: bool = True
    """Whether the model is refused for it, or the user only warned. A set in place is never refused: it was verified,
    and without one of its files it would be another set.
    """

    @property
    def told(self) -> str:
        """The text of a warning."""
        return f"{self.what}; {self.remedy[:1].lower()}{self.remedy[1:]}"


def warning(code: str, what: str, remedy: str) -> Flaw:
    return Flaw(code, what, remedy, refused=False)
