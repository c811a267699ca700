"""Print stages of the connection to a source (``mover/endpoint.py``) as lines, from here or from a pod."""

from collections.abc import Mapping, Sequence
from typing import Final

from weighbridge.core.finding import Finding, fail, not_looked_at, ok
from weighbridge.probing.probes import Stage
from weighbridge.probing.skew import judge_skew

_NAMES: Final = {
    "dns": "name", "tcp": "connection", "proxy": "proxy", "tls": "TLS", "http": "answer", "login": "login",
    "python": "Python", "rsync": "rsync", "volume": "volume",
}  # fmt: skip
_ORDER: Final = ("dns", "tcp", "tls", "http")
_FIREWALL = (
    "have {where} allowed through (firewall, NetworkPolicy), or set `proxy:` if there is one on the way"
)
_REMEDIES: Final[Mapping[str, str]] = {
    "dns-failed": "correct `endpoint`, or have the name made known to {resolver}",
    "dns-timeout": "{resolver} does not answer: is DNS allowed through?",
    "tcp-refused": "is the server up, and is this its port?",
    "tcp-timeout": _FIREWALL,
    "tcp-unreachable": _FIREWALL,
    "proxy-unusable": "write the proxy as http://host:port",
    "proxy-refused": "have the proxy allow this host and port, or put the host into `proxy.no_proxy`",
    "proxy-login": "use a proxy that asks {who} for no login, or put the host into `proxy.no_proxy`",
    "proxy-silent": "is this a proxy for HTTPS (CONNECT)?",
    "trust-unusable": "trust.ca_bundle is a file of PEM certificates",
    "tls-untrusted": "name a PEM file that holds the certificate of the endpoint's issuer: trust: {{ca_bundle: ca.pem}}",
    "tls-expired": "the server's certificate has expired, or this clock is far ahead",
    "tls-clock": "the certificate is not valid yet: is this clock far behind?",
    "tls-name": "use the name that stands in the certificate as `endpoint`",
    "tls-failed": "does the server speak TLS on this port? http:// if it does not",
    "http-silent": "the server takes connections and does not answer: is it overloaded, or is something in between?",
    "rsync-missing": "the route push needs an image with Python and rsync",
    "volume-unwritable": "its driver ignores fsGroup: set fsGroupPolicy: File on the CSIDriver or uid/gid in the StorageClass, or"
    " choose another storage_class",
}
_HERE: Final = {"resolver": "this machine's resolver", "who": "us"}
_POD: Final = {"resolver": "the cluster's DNS", "who": "pods"}
_THEIRS: Final = frozenset({"dns", "tcp", "proxy", "volume"})
"""Stages of a pod's connection that the cluster's administrators can repair."""


def judge_stages(
    area: str, subject: str, stages: Sequence[Stage], remedies: Mapping[str, str], *, from_pod: bool
) -> list[Finding]:
    """Return one line for each stage; report the stages after a failed one as not looked at. ``subject``: the
    destination, in words. ``remedies``: what to do about the source's own codes
    (``sources.interface.Source.remedies``).
    """
    lines: list[Finding] = []
    around = {**(_POD if from_pod else _HERE), "where": subject}
    for stage in stages:
        kind = str(stage["stage"])
        name = f"{subject}: {_NAMES.get(kind, kind)}"
        if stage["ok"]:
            lines.append(ok(area, name, str(stage["said"])))
            if isinstance(skew := stage.get("skew"), int | float):
                ours = "the pod's node" if from_pod else "this machine"
                lines.append(judge_skew(area, f"{subject}: clock", float(skew), ours, "the server"))
            continue
        code = str(stage.get("code"))
        remedy = remedies.get(code)
        if remedy is None:
            remedy = _REMEDIES.get(code, "see the server's documentation of this code").format_map(around)
        lines.append(fail(area, name, str(stage["said"]), remedy, theirs=from_pod and kind in _THEIRS))
    return lines + _after(area, subject, stages)


def _after(area: str, subject: str, stages: Sequence[Stage]) -> list[Finding]:
    """Return a line for the stages that were not checked because an earlier one failed."""
    broken = next(
        (stage for stage in stages if not stage["ok"] and stage["stage"] in {*_ORDER, "proxy"}), None
    )
    if broken is None:
        return []
    at = "tcp" if broken["stage"] == "proxy" else str(broken["stage"])
    left = [_NAMES[kind] for kind in _ORDER[_ORDER.index(at) + 1 :]]
    left += ["clock"]
    return [
        not_looked_at(area, f"{subject}: {', '.join(left)}", f"its {_NAMES[str(broken['stage'])]} failed")
    ]


def reached(stages: Sequence[Stage]) -> bool:
    """Return whether the server answered."""
    return any(stage["stage"] == "http" and stage["ok"] for stage in stages)


def addresses(stages: Sequence[Stage]) -> tuple[str, ...]:
    """Return the addresses of the name."""
    return tuple(str(item) for stage in stages for item in stage.get("addresses") or ())
