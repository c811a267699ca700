"""What several findings come to."""

from collections.abc import Iterable

from weighbridge.core.finding import Finding, Level


def worst(findings: Iterable[Finding]) -> Level:
    return max((finding.level for finding in findings), key=list(Level).index, default=Level.OK)
