"""Where the files that are not Python are: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

from weighbridge.errors import DefectError

_PACKAGE = Path(__file__).resolve().parent.parent
_ROOTS = (_PACKAGE / "share", _PACKAGE.parent.parent)


COLLECTION = "collections/ansible_collections/weighbridge/byom"
"""Playbooks, roles and plugins under the name by which Ansible finds them; in a checkout they are links."""


def share_dir(name: str) -> Path:
    """Return the folder ``templates``, ``collections``, ``playbooks``, ``roles`` or ``plugins`` of this installation.

    Raise ``DefectError`` if the installation lacks it.
    """
    for root in _ROOTS:
        for folder in (root / name, root / COLLECTION / name):
            if folder.is_dir():
                return folder
    raise DefectError(
        f"this installation of weighbridge has no folder {name!r}; looked in {', '.join(str(root) for root in _ROOTS)}",
        remedy="install the wheel again, or run from a complete checkout",
    )
