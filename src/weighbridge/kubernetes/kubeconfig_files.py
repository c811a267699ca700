"""The kubeconfig's files, merged as kubectl does (Kubernetes, "Organizing Cluster Access Using kubeconfig Files",
"Merging kubeconfig files"): the first file that names a cluster, user, context or current-context wins.
``kubeconfig.py`` judges what an entry means.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from weighbridge.errors import PreconditionError
from weighbridge.processes.variables import USUAL_KUBECONFIG, kubeconfig_paths

Entry: TypeAlias = dict[str, Any]

_LISTS: Final = {"clusters": "cluster", "contexts": "context", "users": "user"}
_FILES: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_QUOTED: Final = re.compile(r"""(['"])(?!<).{2,}\1""")
"""Parts of the file that PyYAML's messages quote (the name of an alias or a tag, which may be a token). ``<block
end>`` is PyYAML's own word.
"""

_OF_VALUES: Final = (ValueError, LookupError, ArithmeticError, AttributeError, TypeError)
"""Errors of Python that PyYAML passes on when it reads a value as a date or a number; they quote the value."""


def kubeconfig_files(environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Return the absolute paths of ``KUBECONFIG``'s files, or the default file. Skip empty entries, as kubectl does."""
    return kubeconfig_paths(
        (os.environ if environ is None else environ).get("KUBECONFIG") or USUAL_KUBECONFIG
    )


class Merged:
    """The content of the files, first file first. Each entry has the file that it comes from."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Raise ``PreconditionError`` for a file that cannot be read or is not a kubeconfig. Skip a missing file."""
        self.current: str | None = None
        self.entries: dict[str, dict[str, tuple[Path, Entry]]] = {key: {} for key in _LISTS}
        for file in files:
            self._take(file, _parsed(file))

    def _take(self, file: Path, parsed: Entry) -> None:
        self.current = self.current or str(parsed.get("current-context") or "") or None
        for key, inner in _LISTS.items():
            for item in parsed.get(key) or []:
                if item is None:
                    continue
                if not isinstance(item, dict) or not isinstance(item.get(inner) or {}, dict):
                    raise PreconditionError(
                        f"{file} is no kubeconfig file: {key} holds something else than entries of name and {inner}",
                        remedy="look at it: kubectl config view",
                        code="cluster-config",
                    )
                values = _absolute(item.get(inner) or {}, file.parent)
                self.entries[key].setdefault(str(item.get("name") or ""), (file, values))


def _parsed(file: Path) -> Entry:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, yaml.YAMLError, RecursionError, *_OF_VALUES) as error:
        why = _told(error)
    else:
        if found is None:
            return {}
        if not isinstance(found, dict) or not all(isinstance(found.get(key) or [], list) for key in _LISTS):
            raise PreconditionError(f"{file} is no kubeconfig file", code="cluster-config")
        return found
    # Raised outside the handler: PyYAML's errors quote lines of the file, so a token could be in the chained error.
    raise PreconditionError(
        f"the kubeconfig file {file} cannot be read: {why}",
        remedy="mend it, or take it out of KUBECONFIG",
        code="cluster-config",
    )


def _told(error: Exception) -> str:
    """Return the reason, without any text of the file."""
    match error:
        case OSError():
            return error.strerror or type(error).__name__
        case UnicodeDecodeError():
            return "it is no UTF-8 text"
        case yaml.MarkedYAMLError():
            problem = _QUOTED.sub("…", error.problem or "") or "this is no YAML"
            mark = error.problem_mark or error.context_mark
            return f"line {mark.line + 1}: {problem}" if mark is not None else problem
        case yaml.YAMLError():
            return "it holds characters that no YAML file may hold"
        case RecursionError():
            return "its lists and mappings are nested too deeply"
    return "it holds a value that looks like a date or a number and is none; write texts in quotes"


def _absolute(values: Entry, folder: Path) -> Entry:
    made = {
        key: str((folder / str(value)).absolute()) if key in _FILES and value else value
        for key, value in values.items()
    }
    helper = made.get("exec")
    if isinstance(helper, dict) and os.sep in str(helper.get("command") or ""):
        made["exec"] = {**helper, "command": str((folder / str(helper["command"])).absolute())}
    return made
