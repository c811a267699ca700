"""Completion scripts for shells, made by shtab from the parser. The script is static: completion starts no Python."""

import argparse
from collections.abc import Iterable
from typing import Final

import shtab

_ENVIRONMENTS: Final = """\
_weighbridge_environments() {
  local file
  for file in environments/"$1"*.yaml; do
    [ -e "$file" ] && file=${file##*/} && printf '%s\\n' "${file%.yaml}"
  done
  compgen -f -- "$1"
}
"""
"""Names (``environments/NAME.yaml``) and paths, which every verb takes. In zsh and tcsh, only paths."""

_COMPLETES: Final = {
    "environment": shtab.FILE | {"bash": "_weighbridge_environments"},
    "out": shtab.DIRECTORY,
    "request": shtab.FILE,
}
"""By the argument's destination."""


def script(parser: argparse.ArgumentParser, verbs: Iterable[argparse.ArgumentParser], shell: str) -> str:
    """Return the completion script of ``parser`` with its ``verbs`` for ``bash``, ``zsh`` or ``tcsh``."""
    for verb in verbs:
        for action in verb._actions:  # noqa: SLF001 - argparse has no other way
            if action.dest in _COMPLETES:
                action.complete = _COMPLETES[action.dest]  # type: ignore[attr-defined]  # shtab looks for it here
    return str(shtab.complete(parser, shell, preamble=_ENVIRONMENTS if shell == "bash" else ""))
