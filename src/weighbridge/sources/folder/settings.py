"""What the environment file says of a folder of this machine."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from weighbridge.environment import text_rules
from weighbridge.environment.base import Strict
from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.text_rule import Complaint, TextRule, complain

_EXAMPLE = "write e.g. /mnt/models/example-13b, or weights/example-13b beside this file"


def folder_path(text: str) -> tuple[Complaint, ...]:
    """A path, not a URL; nothing in it is replaced but ``~`` at its beginning."""
    complaints = text_rules.path(text)
    if complaints:
        return complaints
    if "://" in text:
        near = text.removeprefix("file://")
        remedy = f"write {shown(near)}" if text.startswith("file:///") else _EXAMPLE
        return complain(f"{shown(text)} is a URL; a folder's path is due", remedy, "bad-path")
    if "$" in text:
        what = f"{shown(text)} names a variable, and variables are not replaced here"
        return complain(what, _EXAMPLE, "bad-path")
    return ()


class FolderSource(Strict):
    """Every file below a folder of the machine that runs weighbridge; its path below the folder is its path in the set.

    Files are known by their content: the first look at a folder reads every byte of it (300 GB at 500 MB/s: ten minutes),
    and remembers each file's digest in ``var/cache`` until the file changes. Links that lead out of the folder, as those of
    Hugging Face's cache do, are refused. Pods cannot reach it, so it comes by ``push``.
    """

    FOREIGN: ClassVar[Mapping[str, str]] = {
        "dir": "write path",
        "directory": "write path",
        "url": "write path: and a path of this machine",
        "prefix": "write it as part of path",
    }

    path: Annotated[str, TextRule(folder_path), Field(examples=["/mnt/models/example-13b"])]
    """The folder: a disk of this machine, a mounted share, a cache of the pipeline. Relative paths start at the environment
    file's folder, ``~`` at the home of the user."""
