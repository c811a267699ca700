"""Kubernetes' own syntax: names, label keys and values, quantities, with what to write instead.

Sources: Kubernetes documentation, "Object Names and IDs" (RFC 1123 labels and subdomains), "Labels and Selectors"
(keys and values), ``k8s.io/apimachinery/pkg/api/resource`` (quantities).
"""

import re
from decimal import Decimal

LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
SUBDOMAIN_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"
QUANTITY_PATTERN = r"^([0-9]+(\.[0-9]+)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E|m|[eE][+-]?[0-9]{1,2})?$"

MAX_LABEL = 63
MAX_SUBDOMAIN = 253

_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def is_label(text: str) -> bool:
    return re.fullmatch(LABEL_PATTERN, text) is not None


def is_subdomain(text: str) -> bool:
    return len(text) <= MAX_SUBDOMAIN and all(is_label(part) for part in text.split("."))


def is_label_value(text: str) -> bool:
    return re.fullmatch(LABEL_VALUE_PATTERN, text) is not None


def is_label_key(text: str) -> bool:
    """``[prefix/]name``: the prefix a DNS subdomain, the name of a label value's form and not empty."""
    prefix, slash, name = text.rpartition("/")
    return bool(name) and is_label_value(name) and (not slash or is_subdomain(prefix))


def suggest_label(text: str, limit: int = MAX_LABEL) -> str | None:
    """Return the nearest valid DNS-1123 label, or None if nothing of the text can stay."""
    near = re.sub(r"[^a-z0-9]+", "-", text.lower())[:limit].strip("-")
    return near or None


def suggest_subdomain(text: str) -> str | None:
    """Return the nearest valid DNS-1123 subdomain, or None."""
    parts = [suggest_label(part) for part in text.split(".")]
    near = ".".join(part for part in parts if part)
    return near if near and is_subdomain(near) else None


def quantity(text: str) -> Decimal | None:
    """Return a quantity's value (bytes, for ``300Gi``; cores, for ``500m``), or None if the text is none."""
    match = re.fullmatch(QUANTITY_PATTERN, text)
    if match is None or len(text) > 40:  # noqa: PLR2004  (far beyond any real one; keeps the arithmetic small)
        return None
    number, unit = Decimal(match[1]), match[3] or ""
    if unit == "m":
        return number / 1000
    if unit in _UNITS:
        return number * _UNITS[unit]
    return number * Decimal(10) ** int(unit[1:])


def suggest_quantity(text: str) -> str | None:
    """Return what somebody who wrote ``300GB``, ``300 gi`` or ``300gib`` meant, or None."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtpe])(i?)b?\s*", text, re.IGNORECASE)
    if match is None:
        return None
    number, prefix, binary = match.groups()
    if binary:
        return f"{number}{prefix.upper()}i"
    return f"{number}{'k' if prefix in 'kK' else prefix.upper()}"
