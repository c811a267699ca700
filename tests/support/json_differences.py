"""Two JSON values compared: what differs, each with its JSON path."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

LONGEST = 400
"""Characters of one value."""


def differences(
    recorded: Any, found: Any, path: str = "$", *, grows: bool = False, sets: bool = False
) -> Iterator[str]:
    """What is not as it was recorded. With ``grows`` objects may gain keys, with ``sets`` the order of lists means nothing."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key, item in recorded.items():
            below = f"{path}.{key}" if re.fullmatch(r"[\w-]+", key) else f"{path}[{json.dumps(key)}]"
            if key in found:
                yield from differences(item, found[key], below, grows=grows, sets=sets)
            else:
                yield f"{below} is gone; it was {shown(item)}"
        if not grows:
            yield from (f"{path} has a new key {key}: {shown(found[key])}" for key in found.keys() - recorded)
    elif isinstance(recorded, list) and isinstance(found, list):
        yield from (_of_sets if sets else _of_lists)(recorded, found, path, grows=grows)
    elif isinstance(recorded, bool) is not isinstance(found, bool) or recorded != found:
        start = _agreeing(recorded, found)
        yield f"{path} was {shown(recorded, start)}, is {shown(found, start)}"


def _of_lists(recorded: Sequence[Any], found: Sequence[Any], path: str, *, grows: bool) -> Iterator[str]:
    for index, (old, new) in enumerate(zip(recorded, found, strict=False)):
        yield from differences(old, new, f"{path}[{index}]", grows=grows)
    for index, old in enumerate(recorded[len(found) :], start=len(found)):
        yield f"{path}[{index}] is gone; it was {shown(old)}"
    for index, new in enumerate(found[len(recorded) :], start=len(recorded)):
        yield f"{path}[{index}] is new: {shown(new)}"


def _of_sets(recorded: Sequence[Any], found: Sequence[Any], path: str, *, grows: bool) -> Iterator[str]:
    assert not grows, "items of a set have no place to be compared at"
    old, new = (Counter(json.dumps(item, sort_keys=True) for item in items) for items in (recorded, found))
    yield from (f"{path} has no more {shown(json.loads(text))}" for text in (old - new).elements())
    yield from (f"{path} has a new {shown(json.loads(text))}" for text in (new - old).elements())


def _agreeing(old: Any, new: Any) -> int:
    """Where long texts begin to differ, less a few characters to know the place by."""
    if not (isinstance(old, str) and isinstance(new, str)):
        return 0
    pairs = enumerate(zip(old, new, strict=False))
    return max(0, next((index for index, (one, other) in pairs if one != other), 0) - 40)


def shown(value: Any, start: int = 0) -> str:
    """As JSON, cut to what fits a line of a report."""
    if start:
        value = f"…{value[start:]}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
