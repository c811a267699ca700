"""What a secret may look like, and how much of foreign texts may be shown. The pod and the machine outside use the
same rules.

A line break at the end comes from ``echo``, an editor or ``base64``. No key begins or ends in white space, because no
header could carry it (RFC 9110, 5.5), and Pulumi trims a passphrase that it reads from a file. So white space around
a secret is always removed. White space inside it is refused, because nobody can tell which part was meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

WHITE_SPACE = " \t\r\n\v\f"
HIDDEN = "[hidden]"
LARGEST = 64 * 1024
"""Characters. A longer secret is the wrong file."""

_SHORTEST_HIDDEN = 4
"""Characters. Hiding shorter secrets would hide half of every sentence."""
_DELETE = 0x7F
_HEADERS = re.compile(
    r"(?i)((?:authorization|security-token|credential|signature)[\"']?\s*[:=]\s*[\"']?)(?:AWS4\S+\s+|Bearer\s+|Basic\s+)?[^\s,\"']+"
)
"""Headers that servers and libraries quote from a request that they do not understand."""


def trimmed(text: str) -> str:
    """Return the secret without the white space around it."""
    return text.strip(WHITE_SPACE)


def flaw(text: str) -> str | None:
    """Return what a trimmed key or token holds that none may hold, in words that do not show it; ``None``: nothing."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "bytes that are no UTF-8 text"
    if "\n" in text or "\r" in text:
        return "a line break between its characters"
    if any(character < " " or ord(character) == _DELETE for character in text):
        return "a control character"
    return None


def header_flaw(text: str) -> str | None:
    """Like ``flaw``, for a value of a header: only visible ASCII is allowed."""
    if found := flaw(text):
        return found
    if " " in text:
        return "a space between its characters"
    return None if text.isascii() else "a character that is not ASCII"


def told(text: str, secrets: Iterable[str], limit: int = 300) -> str:
    """Return foreign ``text`` in a form that may be shown: one line, printable, at most ``limit`` characters, without
    ``secrets``.

    Secrets are found in plain text and in the forms in which libraries quote: as JSON, in ``repr`` and in a URL.
    """
    known = [secret for secret in secrets if len(secret) >= _SHORTEST_HIDDEN]
    forms = {form for secret in known for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    text = _HEADERS.sub(rf"\g<1>{HIDDEN}", text)
    plain = " ".join("".join(one if one.isprintable() or one.isspace() else "?" for one in text).split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    for quoted in (quote, quote_plus):
        yield quoted(secret, safe="", errors="replace")
    yield quote(secret, errors="replace")
