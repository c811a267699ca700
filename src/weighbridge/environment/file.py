"""Reads an environment file: bytes → text → tree with positions → ``Environment``, every mistake found in one reading.

Nothing here touches the network, and no message quotes what may be a secret.
"""

import difflib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from weighbridge.environment.check import check, in_order
from weighbridge.environment.excerpt import excerpt_of
from weighbridge.environment.ibm_entry import explain_broken_block, looks_like_block
from weighbridge.environment.rules import Stacks
from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.sections import Sections, environment_type
from weighbridge.environment.tree import Finding, Node, dotted
from weighbridge.environment.types import Environment
from weighbridge.environment.yaml_tree import SyntaxFault, parse_yaml
from weighbridge.errors import InputError, InputErrors, Place

MAX_BYTES = 256 * 1024
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadedEnvironment:
    """A file that may be acted on."""

    environment: Environment
    path: Path
    """Absolute."""
    folder: Path
    """Absolute; relative paths within the file start here."""
    warnings: tuple[InputError, ...]
    """Doubts that forbid nothing, in the file's order."""


def load(
    name_or_path: str, environments_dir: Path, brought: Sections = (), stacks: Stacks = None
) -> LoadedEnvironment:
    """Read and check the environment ``NAME`` (``environments_dir/NAME.yaml``) or the file at a path.

    Raises ``InputErrors`` with every mistake, in the file's order. Touches no network. ``brought``: the steps'
    sections, which the file may have; ``stacks``: names of their stacks.
    """
    path = _find(name_or_path, environments_dir)
    file = _display(path)
    findings, root = _examine(_read(path, file), brought, stacks)
    errors = tuple(finding.error(file) for finding in findings if not finding.warning)
    if errors or root is None:
        raise InputErrors(errors)
    environment = _built(root, file, environment_type(brought))
    warnings = [finding.error(file) for finding in findings]
    warnings.extend(_about_names(environment, root, path, file))
    return LoadedEnvironment(environment, path, path.parent, tuple(warnings))


def examine(text: str, brought: Sections = (), stacks: Stacks = None) -> tuple[Finding, ...]:
    """Return everything there is to say about an environment file's text, errors and warnings, in its order."""
    return _examine(text, brought, stacks)[0]


def excerpt(error: InputError) -> str | None:
    """Return the line of the file that an error points at, with a caret under the column, secrets hidden.

    None where the error names no line, or the file cannot be read any more.
    """
    place = error.place
    if place is None or place.file is None or place.line is None:
        return None
    try:
        text = Path(place.file).read_bytes()[:MAX_BYTES].decode("utf-8-sig", "replace")
    except OSError:
        return None
    return excerpt_of(text, place)


def _find(name_or_path: str, environments_dir: Path) -> Path:
    path, given = environments_dir / f"{name_or_path}.yaml", Path(name_or_path)
    is_path = "/" in name_or_path or name_or_path.endswith(_SUFFIXES)
    try:
        if is_path or (given.is_file() and not path.exists()):
            path = given
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputErrors((_missing(name_or_path, path, environments_dir, is_path=is_path),)) from error
    if not stat.S_ISREG(mode):
        what = f"{shown(str(path))} is not a regular file"
        raise InputErrors(
            (
                InputError(
                    what, remedy="give an environment's name or the path of its file", code="not-a-file"
                ),
            )
        )
    return path.resolve()


def _missing(name: str, path: Path, environments_dir: Path, *, is_path: bool) -> InputError:
    known = (
        sorted(
            file.stem
            for file in environments_dir.glob("*.yaml")
            if file.is_file() and not file.name.endswith(".lock.yaml")
        )
        if environments_dir.is_dir()
        else []
    )
    stem = Path(name).name.removesuffix(".yaml").removesuffix(".yml") if is_path else name
    close = difflib.get_close_matches(stem[:100], known, 1, cutoff=0.5)
    what = (
        f"there is no file {shown(str(path))}"
        if is_path
        else f"there is no environment {shown(name)}: {shown(str(path))} does not exist"
    )
    listed = (
        f"existing: {', '.join(known)}"
        if known
        else f"{shown(str(environments_dir.absolute()))} holds no environment; give a path, or run from the folder above environments/"
    )
    return InputError(
        what, remedy=f"did you mean {close[0]}? ({listed})" if close else listed, code="no-such-environment"
    )


def _display(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _read(path: Path, file: str) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        raise InputErrors(
            (InputError(what, remedy="check its owner and mode", place=Place(file), code="unreadable"),)
        ) from error
    if len(data) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024} KiB"
        place = Place(file, 1, 1)
        raise InputErrors(
            (
                InputError(
                    what,
                    remedy="give an environment file, not weights or a log",
                    place=place,
                    code="too-large",
                ),
            )
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start, wide = error.start, data[:2] in {b"\xff\xfe", b"\xfe\xff"}
    # Outside the handler: the error carries the file's bytes, and nothing that may hold a secret is chained.
    line = data.count(b"\n", 0, start) + 1
    column = start - (data.rfind(b"\n", 0, start) + 1) + 1
    what = (
        "the file is UTF-16, not UTF-8"
        if wide
        else "the file is not UTF-8: this byte belongs to another encoding"
    )
    raise InputErrors(
        (InputError(what, remedy="save it as UTF-8", place=Place(file, line, column), code="not-utf-8"),)
    )


def _examine(text: str, brought: Sections, stacks: Stacks) -> tuple[tuple[Finding, ...], Node | None]:
    try:
        root = parse_yaml(text)
    except SyntaxFault as fault:
        finding = fault.finding
    else:
        return check(root, brought, stacks), root
    block = explain_broken_block(text, parse_yaml) if looks_like_block(text) else ()
    explained = any(part.code == finding.code for part in block)
    return in_order(block if explained else (finding, *block)), None


def _built(root: Node, file: str, kind: type[Environment]) -> Environment:
    text = json.dumps(root.plain())
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        places = [
            detail["loc"]
            for detail in error.errors(include_input=False, include_context=False, include_url=False)
        ]
    # Our own rules found nothing, the types did: still the user's file, so still an input error. Nothing is chained, for
    # the same reason as above.
    keys = (dotted(place) for place in places)
    what = "the value does not fit its type"
    remedy = "compare with docs/configuration.md"
    raise InputErrors(
        tuple(
            InputError(what, remedy=remedy, place=Place(file, 1, 1, key), code="wrong-type") for key in keys
        )
    )


def _about_names(environment: Environment, root: Node, path: Path, file: str) -> Iterator[InputError]:
    name, bundle = root.get("name"), root.get("trust", "ca_bundle")
    if name is not None and environment.name != path.stem:
        what = f"the environment's name {shown(environment.name)} differs from the file's, {shown(path.stem)}"
        place = Place(file, name.spot.line, name.spot.column, "name")
        yield InputError(
            what, remedy=f"write name: {path.stem}, or rename the file", place=place, code="name-differs"
        )
    if (
        bundle is not None
        and environment.trust is not None
        and not (path.parent / environment.trust.ca_bundle).is_file()
    ):
        place = Place(file, bundle.spot.line, bundle.spot.column, "trust.ca_bundle")
        yield InputError(
            "there is no such file here",
            remedy="put the PEM file there before a run",
            place=place,
            code="no-such-file",
        )
