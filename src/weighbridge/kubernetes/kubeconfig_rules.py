"""What texts of a kubeconfig may hold, so that every program that is given them takes them, and takes them alike."""

import ipaddress
import re
from urllib.parse import urlsplit

from weighbridge.mover import secret_text


def is_web_url(text: str) -> bool:
    """An http(s) URL with a host that can be looked up; ``urlsplit`` alone drops line breaks in silence."""
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and parts.port != 0 and is_host(parts.hostname or "")
    except ValueError:
        return False


def names_a_user(url: str) -> bool:
    """Whether a user, or a password, stands before the host."""
    return "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]


def is_host(text: str) -> bool:
    """A name, or an address without brackets."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        pass
    else:
        return True
    try:
        name = text.encode("idna").decode("ascii")  # no label is empty or too long
    except UnicodeError:
        return False
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name) is not None


def header_flaw(text: str) -> str | None:
    """What ``text`` holds that not every program can send in a header, in words that do not show it; ``None``: nothing."""
    if found := secret_text.flaw(text):
        return found
    if text != text.strip():
        return "white space around it"
    return None if text.isascii() else "a character that is not ASCII"


def passes(text: str) -> bool:
    """Whether every program, file and header takes it: YAML can say what no path and no UTF-8 can."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)
