"""Clocks that differ: compare ours with a server's, by its ``Date`` header."""

from weighbridge.core.finding import Finding, fail, ok, warn

WARN_SKEW_SECONDS = 60
FAIL_SKEW_SECONDS = 300
"""S3 refuses a signature that is 15 minutes off (Amazon S3 API Reference, RequestTimeTooSkewed). A clock that is
wrong by five minutes will be wrong by fifteen some day.
"""


def judge_skew(area: str, name: str, seconds: float, ours: str, theirs: str) -> Finding:
    """``seconds``: how far our clock is ahead. ``Date`` has whole seconds, so one second of difference means nothing."""
    off = abs(seconds)
    amount = f"{off / 60:.1f} min" if off >= WARN_SKEW_SECONDS else f"{off:.0f} s"
    said = f"{ours} is {amount} {'ahead of' if seconds > 0 else 'behind'} {theirs}"
    remedy = "set the clock that is wrong (NTP, chrony): S3 refuses requests that are 15 minutes off"
    if off >= FAIL_SKEW_SECONDS:
        return fail(area, name, said, remedy)
    if off >= WARN_SKEW_SECONDS:
        return warn(area, name, said, remedy)
    return ok(area, name, f"{ours} and {theirs} agree to within {max(2, round(off) + 1)} s")
