"""NetworkPolicies that select our pods: does one block the source (Kubernetes, "Network Policies").

Judged from the objects alone. Other kinds of policy (AdminNetworkPolicy, Calico, Cilium) are not read, and a network
plugin may enforce no policy at all. A probing pod therefore decides.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weighbridge.core.finding import Finding, fail, ok, warn
from weighbridge.probing.probes import Object
from weighbridge.steps.weights.areas import NETWORK

AREA = NETWORK.name
DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Egress:
    """What the policies say about one destination. If not ``allowed`` and ``selecting`` is empty, nothing restricts it."""

    allowed: bool
    selecting: tuple[str, ...]
    """Policies that select the pod and restrict what it may reach."""
    guessed: bool = False
    """Allowed only by a rule for pods or namespaces. Whether such pods have this address is unknown."""


def egress(
    policies: Sequence[Object],
    labels: Mapping[str, str],
    addresses: Sequence[str],
    port: int,
    protocol: str = "TCP",
) -> Egress:
    """Return whether pods with ``labels`` may reach one of ``addresses`` at ``port``. Without addresses (for the
    cluster's DNS): whether some rule is for that port or for everything.
    """
    selecting = [policy for policy in policies if _restricts(policy, labels)]
    names = tuple(str(policy["metadata"]["name"]) for policy in selecting)
    if not selecting:
        return Egress(allowed=True, selecting=())
    rules = [rule for policy in selecting for rule in policy["spec"].get("egress") or ()]
    fitting = [rule for rule in rules if _port_fits(rule.get("ports"), port, protocol)]
    if any(_reaches(rule, addresses) for rule in fitting):
        return Egress(allowed=True, selecting=names)
    guessed = any("ipBlock" not in peer for rule in fitting for peer in rule.get("to") or ())
    return Egress(allowed=guessed, selecting=names, guessed=guessed)


def _reaches(rule: Mapping[str, Any], addresses: Sequence[str]) -> bool:
    blocks = [peer["ipBlock"] for peer in rule.get("to") or () if "ipBlock" in peer]
    if not rule.get("to"):
        return True
    if not addresses:
        return any(rule.get("ports") or str(block.get("cidr")).endswith("/0") for block in blocks)
    return any(_within(block, address) for block in blocks for address in addresses)


def _restricts(policy: Object, labels: Mapping[str, str]) -> bool:
    spec = policy.get("spec") or {}
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
    return "Egress" in types and selects(spec.get("podSelector") or {}, labels)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Match a LabelSelector; the empty one selects everything."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(row, labels) for row in selector.get("matchExpressions") or ())


def _expression(row: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(str(row["key"])), row.get("values") or ()
    match row.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def _port_fits(ports: Sequence[Mapping[str, Any]] | None, port: int, protocol: str) -> bool:
    if not ports:
        return True
    for row in ports:
        if row.get("protocol", "TCP") != protocol:
            continue
        first = row.get("port")
        if first is None or (isinstance(first, int) and first <= port <= int(row.get("endPort") or first)):
            return True
    return False


def _within(block: Mapping[str, Any], address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
        return found in ipaddress.ip_network(str(block["cidr"]), strict=False) and not any(
            found in ipaddress.ip_network(str(part), strict=False) for part in block.get("except") or ()
        )
    except (ValueError, KeyError):
        return False


def judge_egress(  # noqa: PLR0913 - one question
    policies: Sequence[Object],
    labels: Mapping[str, str],
    target: str,
    addresses: Sequence[str],
    port: int,
    *,
    only_way: bool,
    reached: bool | None = None,
) -> list[Finding]:
    """``target``: the destination, in words. ``only_way``: no other route can bring a model in. ``reached``: whether
    a probing pod reached it; ``None``: no pod was started.
    """
    name = f"policies for {target}"
    way = egress(policies, labels, addresses, port)
    names = egress(policies, labels, (), DNS_PORT, "UDP")
    resolving = names.allowed or not addresses or target.split(":", maxsplit=1)[0] in addresses
    if not way.selecting:
        end = "; what keeps the probing pod from it is something else" if reached is False else ""
        return [ok(AREA, name, f"no NetworkPolicy restricts what our pods may reach{end}")]
    those = f"NetworkPolicy {', '.join(way.selecting)}"
    if way.allowed and resolving:
        if reached is False:
            return [warn(AREA, name, f"{those} selects our pods and seems to allow it, but the probing pod did not get there",
                         "look at other kinds of policies (AdminNetworkPolicy, Calico, Cilium) and at firewalls", theirs=True)]  # fmt: skip
        how = ", if what stands there are pods that it names" if way.guessed else ""
        return [ok(AREA, name, f"{those} selects our pods and allows it{how}")]
    what = "the way to it" if not way.allowed else "name resolution (UDP port 53)"
    said = (
        f"{those} selects our pods and does not allow {what}: port {port} at {', '.join(addresses) or target}"
    )
    remedy = f"add an egress rule to TCP port {port} of {', '.join(addresses) or target} (and to the cluster's DNS) for pods with the labels {_labels(labels)}"
    if reached:
        return [
            warn(
                AREA,
                name,
                f"{said}; a probing pod got there all the same, so nothing enforces it here",
                remedy,
                theirs=True,
            )
        ]
    return [(fail if only_way else warn)(AREA, name, said, remedy, theirs=True)]


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
