"""What is wrong with a model's files, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that a look at a model found."""

    code: str
    """Stable short name, ``kebab-case``."""
    what: str
    """A sentence without a full stop: which file, and what is wrong with it."""
    remedy: str
    """What would be right."""
    refused: bool = True
    """Whether the model is refused for it, or its user is only told. A set that is in place is never refused for one: it was
    verified, and leaving a file of it out would make it another set.
    """

    @property
    def told(self) -> str:
        """As a warning."""
        return f"{self.what}; {self.remedy[:1].lower()}{self.remedy[1:]}"


def warning(code: str, what: str, remedy: str) -> Flaw:
    return Flaw(code, what, remedy, refused=False)
