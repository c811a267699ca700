"""Which texts a kubeconfig may hold, so that every program that gets it accepts and reads them in the same way."""

import ipaddress
import re
from urllib.parse import urlsplit

from weighbridge.mover import secret_text


def is_web_url(text: str) -> bool:
    """Return whether it is an http(s) URL with a host that can be looked up. ``urlsplit`` alone silently drops line breaks."""
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and parts.port != 0 and is_host(parts.hostname or "")
    except ValueError:
        return False


def names_a_user(url: str) -> bool:
    """Return whether the host follows a user or a password."""
    return "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]


def is_host(text: str) -> bool:
    """Return whether it is a name, or an address without brackets."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        pass
    else:
        return True
    try:
        name = text.encode("idna").decode("ascii")  # fails if a label is empty or too long
    except UnicodeError:
        return False
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name) is not None


def header_flaw(text: str) -> str | None:
    """Return in words, without showing it, what in ``text`` some program cannot send in a header; ``None``: nothing."""
    if found := secret_text.flaw(text):
        return found
    if text != text.strip():
        return "white space around it"
    return None if text.isascii() else "a character that is not ASCII"


def passes(text: str) -> bool:
    """Return whether every program, file and header accepts it: YAML allows texts that no path and no UTF-8 can hold."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)
