"""What a pasted secret looks like, so that it is refused where a reference is due and never shown on a screen or in a log.

Shapes: AWS, "Understanding unique ID prefixes" (``AKIA``, ``ASIA``) and its 40-character secret keys; RFC 7468 (PEM);
RFC 3986 §3.2.1 (user information in a URL); RFC 7519 (JWT); the token prefixes that Hugging Face, GitHub and GitLab
document.
"""

import json
import re

HIDDEN = "[hidden]"
_SHOWN_LIMIT = 60
_EXAMINED = 4096
"""Characters of a text that are searched; bounds the time. Longer texts are refused for their length alone."""

SECRET_KEYS = frozenset({"access_key", "secret_key", "session_token", "passphrase"})
"""Keys whose values are references to secrets; nothing below them is ever shown."""

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY")),
    ("an AWS access key id", re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    # A password may hold a slash or a question mark that should have been escaped: a colon before it gives it away.
    ("a URL with credentials in it", re.compile(r"://(?:[^/\s?#@]+|[^/\s@]*:[^\s@]*)@(?!sha256:)")),
    (
        "a URL with credentials in its query",
        re.compile(
            r"[?&][\w-]{0,40}(?:secret|passw|token|signature|credential|access_?key)[\w-]{0,40}=",
            re.IGNORECASE,
        ),
    ),
    ("a JSON Web Token", re.compile(r"(?<![\w-])eyJ[\w-]{10,4000}\.[\w-]{10,4000}\.")),
    (
        "an access token",
        re.compile(
            r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{30}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{30}|glpat-[\w-]{20})"
        ),
    ),
)
_SPOKEN = r"authorization|cookie|credentials?|assertion|signature"
_SECRET_KEY_SHAPE = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_LONG_RUN = re.compile(r"[A-Za-z0-9/+=_-]{20,}")
_NAMES = r"access_?key(?:_id)?|secret_?(?:access_?)?key|session_?token|pass(?:phrase|word|wd)|api_?key|token|secret"
_KEYED_VALUE = re.compile(
    rf"(?i)(?P<key>[\"']?[\w-]{{0,40}}(?:{_NAMES})[\"']?(?:\s*[:=]\s*|\s+))(?P<value>[^\s{{].*)"
)
_SPOKEN_VALUE = re.compile(
    rf"(?i)(?P<key>[\w-]{{0,40}}(?:{_NAMES}|{_SPOKEN})[\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^\s,;&\"']+"
)
_BEARER = re.compile(r"(?i)(?<![\w-])(?P<key>(?:bearer|basic)\s+)(?=\S*[\d=.~_-])\S{8,}")
_REFERENCE = re.compile(r"""["']?(?:env|file|secret)["']?\s*:\s*(?P<value>[^,}\s][^,}]*)""")
_NAME = re.compile(r"""["']?[A-Za-z_./~-][\w./~-]{0,99}["']?\s*""")


def looks_like_secret(text: str) -> str | None:
    """Return what the text seems to be (``an AWS access key id``), or None if nothing about it looks secret."""
    head = text[:_EXAMINED]
    for name, shape in _SHAPES:
        if shape.search(head):
            return name
    match = _SECRET_KEY_SHAPE.search(head)
    return "an AWS secret access key" if match and _is_mixed(match.group()) else None


def shown(value: object) -> str:
    """Return a value as it may be quoted in a message: JSON, at most 60 characters, hidden if it looks like a secret."""
    text = value if isinstance(value, str) else json.dumps(value)
    if looks_like_secret(text):
        return HIDDEN
    short = text if len(text) <= _SHOWN_LIMIT else f"{text[:_SHOWN_LIMIT]}…"
    return json.dumps(short, ensure_ascii=not short.isprintable()) if isinstance(value, str) else short


def masked_line(line: str) -> str:
    """Return one line of a user's file with everything hidden that is, or may be, a secret. Length may change."""
    if looks_like_secret(line):
        return HIDDEN
    line = _KEYED_VALUE.sub(lambda found: f"{found['key']}{HIDDEN}", line)
    line = _REFERENCE.sub(lambda found: found.group() if _NAME.fullmatch(found["value"]) else HIDDEN, line)
    return _LONG_RUN.sub(lambda found: HIDDEN if _is_mixed(found.group()) else found.group(), line)


def masked_words(text: str) -> str:
    """Return what a program says with everything hidden that is, or may be, a secret; unlike in a file, a sentence that has the
    word token or password in it stays.
    """
    text = _SPOKEN_VALUE.sub(lambda found: f"{found['key']}{HIDDEN}", text)
    text = _BEARER.sub(lambda found: f"{found['key']}{HIDDEN}", text)
    for _, shape in _SHAPES:
        text = shape.sub(HIDDEN, text)
    return _LONG_RUN.sub(lambda found: HIDDEN if _is_mixed(found.group()) else found.group(), text)


def names_a_secret(key: str) -> bool:
    """Tell whether a key's name says that its value is a secret (``password``, ``secret_key``, ``apiKey``)."""
    return re.fullmatch(rf"(?i)[\w-]{{0,40}}(?:{_NAMES})", key) is not None


def _is_mixed(text: str) -> bool:
    """Upper case, lower case and digits together: what random base64 has and names and hex digests have not."""
    return bool(re.search("[A-Z]", text) and re.search("[a-z]", text) and re.search("[0-9]", text))
