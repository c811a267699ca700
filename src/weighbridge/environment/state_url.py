"""The URL of Pulumi's state, read as Pulumi 3.255 reads it (``backend/diy/backend.go``, gocloud.dev 0.46 ``aws`` and ``s3blob``).

We read the state ourselves before any engine starts, so an option that only one of the two understood would lead them to two
places: each option is read the same way here, or has no bearing on reading, or is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from weighbridge.environment.text_rule import Complaint, complain

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
"""Go's ``strconv.ParseBool``."""


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where an ``s3://`` state lies."""

    bucket: str
    prefix: str
    """Empty, or ends in ``/``."""
    endpoint: str | None
    region: str | None
    path_style: bool
    """The bucket's name stands in the path and not in the host's name."""


@dataclass(frozen=True, slots=True)
class _Read:
    """Both read it. ``good``: which values make sense."""

    good: Callable[[str], bool]
    like: str


@dataclass(frozen=True, slots=True)
class _Refused:
    instead: str


_Option: TypeAlias = _Read | _Refused


def _flag(text: str) -> bool:
    return text in _TRUE | _FALSE


def _endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
        )
    except ValueError:
        return False


_IDENTITY: Final = "leave it out: write state.credentials, or set AWS_PROFILE for AWS's usual chain"
_ANOTHER_ENDPOINT: Final = "leave it out, and write the endpoint that is meant: endpoint=https://…"
_CHECKSUMS: Final = frozenset({"when_supported", "when_required"})
OPTIONS: Final[Mapping[str, _Option]] = {
    "region": _Read(lambda text: text.replace("-", "").replace("_", "").isalnum(), "region=eu-central-1"),
    "endpoint": _Read(_endpoint, "endpoint=https://s3.example.com"),
    "s3ForcePathStyle": _Read(_flag, "s3ForcePathStyle=true"),
    "use_path_style": _Read(_flag, "use_path_style=true"),
    "disableSSL": _Read(_flag, "endpoint=http://HOST:PORT instead"),
    # what has no bearing on reading
    "awssdk": _Read(lambda _: True, "awssdk=v2"),
    "ssetype": _Read(lambda text: text.lower() in {"aes256", "aws:kms", "aws:kms:dsse"}, "ssetype=aws:kms"),
    "kmskeyid": _Read(bool, "kmskeyid=KEY"),
    "rate_limiter_capacity": _Read(str.isdigit, "rate_limiter_capacity=100"),
    "request_checksum_calculation": _Read(
        lambda text: text.lower() in _CHECKSUMS, "request_checksum_calculation=when_required"
    ),
    "response_checksum_validation": _Read(
        lambda text: text.lower() in _CHECKSUMS, "response_checksum_validation=when_required"
    ),
    # what would lead Pulumi somewhere else, or as somebody else
    "profile": _Refused(_IDENTITY),
    "role": _Refused(_IDENTITY),
    "anonymous": _Refused(_IDENTITY),
    "dualstack": _Refused(_ANOTHER_ENDPOINT),
    "fips": _Refused(_ANOTHER_ENDPOINT),
    "accelerate": _Refused("leave it out: a state is small"),
    "hostname_immutable": _Refused("write use_path_style=true"),
    "disable_https": _Refused("write endpoint=http://HOST:PORT"),
}
"""Every option that Pulumi takes behind ``s3://BUCKET/PREFIX?`` → what becomes of it."""


def s3_complaints(url: str) -> tuple[Complaint, ...]:
    """Mistakes in the options of an ``s3://`` URL."""
    options = parse_qs(urlsplit(url).query, keep_blank_values=True)
    return tuple(Complaint(what, remedy, "bad-url") for what, remedy in _wrong_options(options))


def _wrong_options(options: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    for name, values in options.items():
        option = OPTIONS.get(name)
        shown = name[:60] if name.isprintable() else "an option"
        if option is None:
            near = next((known for known in OPTIONS if known.lower() == name.lower()), None)
            known = ", ".join(name for name, each in OPTIONS.items() if isinstance(each, _Read))
            what = f"Pulumi knows no option {shown!r} of an s3 backend"
            yield what, f"write {near}" if near else f"known: {known}"
        elif isinstance(option, _Refused):
            yield f"option {shown!r} is not supported", option.instead
        elif len(values) > 1:
            yield f"option {shown!r} stands there {len(values)} times", "write it once"
        elif not option.good(values[0]):
            yield f"option {shown!r} has a value that Pulumi would not take", f"write e.g. {option.like}"
    if options.get("disableSSL", [""])[-1] in _TRUE and "://" in options.get("endpoint", ["://"])[-1]:
        what = "option 'disableSSL' is read with an endpoint without a scheme only"
        yield what, "write endpoint=http://HOST:PORT"


def file_complaints(url: str) -> tuple[Complaint, ...]:
    """Mistakes in a ``file://`` URL that names a folder."""
    parts = urlsplit(url)
    path = parts.netloc + parts.path
    if parts.query or parts.fragment:
        what = "a file backend takes no options here (?…, #…)"
        remedy = f"write file://{path[:200]}; a ? or # of the folder's name as %3F or %23"
        return complain(what, remedy, "bad-url")
    if path.startswith("~") and not path.startswith("~/"):
        what = "only the own home folder can be written as ~"
        return complain(what, "write file://~/FOLDER, or the whole path", "bad-url")
    return ()


def s3_place(url: str) -> S3Place:
    """What an ``s3://`` URL without mistakes says."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    prefix = unquote(parts.path).lstrip("/")
    endpoint = options.get("endpoint")
    if endpoint and "://" not in endpoint:
        endpoint = f"{'http' if options.get('disableSSL') in _TRUE else 'https'}://{endpoint}"
    return S3Place(
        bucket=parts.netloc,
        prefix=prefix if not prefix or prefix.endswith("/") else f"{prefix}/",
        endpoint=endpoint or None,
        region=options.get("region"),
        path_style=any(options.get(name) in _TRUE for name in ("use_path_style", "s3ForcePathStyle")),
    )
