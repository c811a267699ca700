"""Convert Kubernetes resource quantities (Kubernetes, "Quantity" in the API reference) to and from bytes."""

import re
from decimal import Decimal

MIB = 1024**2
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(r"^\+?(\d+(?:\.\d*)?|\.\d+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,2}))?$")


def parse_bytes(text: str) -> int:
    """Return the bytes of a quantity such as ``300Gi``, rounded up. Raise ``ValueError`` for any other text."""
    found = _QUANTITY.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a quantity; write a number with Mi, Gi or Ti, such as 300Gi")
    number, binary, decimal, exponent = found.groups()
    if binary:
        value = Decimal(number) * 1024 ** _BINARY[binary]
    else:
        value = Decimal(number) * Decimal(10) ** (int(exponent) if exponent else _DECIMAL[decimal or ""])
    whole = int(value)
    return whole if whole == value else whole + 1


def format_bytes(count: int) -> str:
    """Return the shortest exact binary quantity: ``2Gi``, ``190Mi``, ``1500``."""
    for suffix, power in reversed(_BINARY.items()):
        unit = 1024**power
        if count and count % unit == 0:
            return f"{count // unit}{suffix}"
    return str(count)
