"""Bytes, rates and times in readable form."""

_STEP = 1024
_SECONDS_PER_MINUTE = 60
_SECONDS_PER_HOUR = 3600
_TEN = 10


def size(count: float) -> str:
    """Return bytes in binary units: ``512 B``, ``86.7 MiB``, ``1.20 GiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _STEP:
            return (
                f"{value:.0f} B"
                if unit == "B"
                else f"{value:.2f} {unit}"
                if value < _TEN
                else f"{value:.1f} {unit}"
            )
        value /= _STEP
    return f"{value:.2f} TiB"


def rate(bytes_per_second: float) -> str:
    """Return ``12.3 MiB/s``."""
    return f"{size(bytes_per_second)}/s"


def duration(seconds: float) -> str:
    """Return ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < _TEN:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _SECONDS_PER_MINUTE:
        return f"{whole} s"
    if whole < _SECONDS_PER_HOUR:
        return f"{whole // _SECONDS_PER_MINUTE} min {whole % _SECONDS_PER_MINUTE:02d} s"
    return f"{whole // _SECONDS_PER_HOUR} h {whole % _SECONDS_PER_HOUR // _SECONDS_PER_MINUTE:02d} min"


def short(digest: str) -> str:
    """Return the first 12 hex digits of a ``sha256:…`` digest."""
    return digest.removeprefix("sha256:")[:12]


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 file``, ``3 files``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
