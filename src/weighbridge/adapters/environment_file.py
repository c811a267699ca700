"""Reads an environment file: bytes → text → tree with positions → ``Environment``, every mistake found in one reading.

The only importer of PyYAML on the way in. It uses PyYAML's event stream alone, so nothing is constructed, no tag is
obeyed, and depth, size and what aliases expand to are bounded before memory or time is spent on them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
import difflib
import json
from pathlib import Path
import stat

from pydantic import ValidationError
import yaml

from weighbridge.domain.environment import Environment
from weighbridge.domain.environment_check import check, in_order
from weighbridge.domain.ibm_entry import explain_broken_block, looks_like_block
from weighbridge.domain.secret_shapes import masked_line, names_a_secret, shown
from weighbridge.domain.source_tree import Finding, Node, Spot, dotted
from weighbridge.domain.yaml_scalars import resolve
from weighbridge.domain.yaml_syntax import explain_syntax
from weighbridge.errors import InputError, InputErrors, Place

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000
_EXCERPT_WIDTH = 110
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


class _SyntaxFault(ValueError):  # noqa: N818  (a finding on its way out, never an error that a user meets)
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


def load(name_or_path: str, environments_dir: Path) -> LoadedEnvironment:
    """Read and check the environment ``NAME`` (``environments_dir/NAME.yaml``) or the file at a path.

    Raises ``InputErrors`` with every mistake, in the file's order. Touches no network.
    """
    path = _find(name_or_path, environments_dir)
    file = _display(path)
    findings, root = _examine(_read(path, file), file)
    errors = tuple(finding.error(file) for finding in findings if not finding.warning)
    if errors or root is None:
        raise InputErrors(errors)
    environment = _built(root, file)
    warnings = [finding.error(file) for finding in findings]
    warnings.extend(_about_names(environment, root, path, file))
    return LoadedEnvironment(environment, path, path.parent, tuple(warnings))


def examine(text: str) -> tuple[Finding, ...]:
    """Return everything there is to say about an environment file's text, errors and warnings, in its order."""
    return _examine(text, "")[0]


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


def excerpt_of(text: str, place: Place) -> str | None:
    """Return the line of ``text`` at ``place`` and a caret below its column. Shows one line, and no secret."""
    lines = text.splitlines()
    if place.line is None or not 0 < place.line <= len(lines):
        return None
    line = lines[place.line - 1].replace("\t", " ")
    masked = masked_line(line)
    if _below_a_secret(lines, place.line - 1):
        masked = masked_line("secret: x")
    column = min(place.column or 1, len(masked) + 1)
    start = max(0, column - _EXCERPT_WIDTH + 20)
    number = str(place.line)
    printable = "".join(character if character.isprintable() else "·" for character in masked[start : start + _EXCERPT_WIDTH])
    return f"{number} | {printable.rstrip()}\n{' ' * len(number)} | {' ' * (column - start - 1)}^"


def _below_a_secret(lines: list[str], index: int) -> bool:
    """Tell whether a line continues a value whose key names a secret (a block or a folded text)."""
    indent = len(lines[index]) - len(lines[index].lstrip())
    for line in reversed(lines[max(0, index - 100) : index]):
        key, colon, rest = line.strip().partition(":")
        here = len(line) - len(line.lstrip())
        if colon and here < max(indent, 1) and names_a_secret(key.strip("- \"'")):
            return not rest.strip() or rest.strip()[0] in "|>\"'"
        if line.strip() and here == 0 and indent > 0:
            return False
    return False


def _find(name_or_path: str, environments_dir: Path) -> Path:
    is_path = "/" in name_or_path or name_or_path.endswith(_SUFFIXES)
    path = Path(name_or_path) if is_path else environments_dir / f"{name_or_path}.yaml"
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputErrors((_missing(name_or_path, path, environments_dir, is_path=is_path),)) from error
    if not stat.S_ISREG(mode):
        what = f"{shown(str(path))} is not a regular file"
        raise InputErrors((InputError(what, remedy="give an environment's name or the path of its file", code="not-a-file"),))
    return path.resolve()


def _missing(name: str, path: Path, environments_dir: Path, *, is_path: bool) -> InputError:
    known = sorted(
        file.stem for file in environments_dir.glob("*.yaml") if file.is_file() and not file.name.endswith(".lock.yaml")
    ) if environments_dir.is_dir() else []
    stem = Path(name).name.removesuffix(".yaml").removesuffix(".yml") if is_path else name
    close = difflib.get_close_matches(stem[:100], known, 1, cutoff=0.5)
    what = f"there is no file {shown(str(path))}" if is_path else f"there is no environment {shown(name)}: {shown(str(path))} does not exist"
    listed = f"existing: {', '.join(known)}" if known else f"{shown(str(environments_dir))} holds no environment yet; the sandbox's file is a template"
    return InputError(what, remedy=f"did you mean {close[0]}? ({listed})" if close else listed, code="no-such-environment")


def _display(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _read(path: Path, file: str) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        raise InputErrors((InputError(what, remedy="check its owner and mode", place=Place(file), code="unreadable"),)) from error
    if len(data) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024} KiB"
        place = Place(file, 1, 1)
        raise InputErrors((InputError(what, remedy="give an environment file, not weights or a log", place=place, code="too-large"),))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start, wide = error.start, data[:2] in {b"\xff\xfe", b"\xfe\xff"}
    # Outside the handler: the error carries the file's bytes, and nothing that may hold a secret is chained.
    line = data.count(b"\n", 0, start) + 1
    column = start - (data.rfind(b"\n", 0, start) + 1) + 1
    what = "the file is UTF-16, not UTF-8" if wide else "the file is not UTF-8: this byte belongs to another encoding"
    raise InputErrors((InputError(what, remedy="save it as UTF-8", place=Place(file, line, column), code="not-utf-8"),))


def _examine(text: str, file: str) -> tuple[tuple[Finding, ...], Node | None]:
    try:
        root = _parse(text)
    except _SyntaxFault as fault:
        finding = fault.finding
    else:
        return check(root), root
    block = explain_broken_block(text, _parse) if looks_like_block(text) else ()
    return in_order((finding, *block)), None


def _built(root: Node, file: str) -> Environment:
    text = json.dumps(root.plain())
    try:
        return Environment.model_validate_json(text)
    except ValidationError as error:
        places = [detail["loc"] for detail in error.errors(include_input=False, include_context=False, include_url=False)]
    # Our own rules found nothing, the types did: still the user's file, so still an input error. Nothing is chained, for
    # the same reason as above.
    keys = (dotted(tuple(part for part in place if isinstance(part, int | str))) for place in places)
    what = "the value does not fit its type"
    remedy = "compare with docs/configuration.md"
    raise InputErrors(tuple(InputError(what, remedy=remedy, place=Place(file, 1, 1, key), code="wrong-type") for key in keys))


def _about_names(environment: Environment, root: Node, path: Path, file: str) -> Iterator[InputError]:
    name, bundle = root.get("name"), root.get("trust", "ca_bundle")
    if name is not None and environment.name != path.stem:
        what = f"the environment's name {shown(environment.name)} differs from the file's, {shown(path.stem)}"
        place = Place(file, name.spot.line, name.spot.column, "name")
        yield InputError(what, remedy=f"write name: {path.stem}, or rename the file", place=place, code="name-differs")
    if bundle is not None and environment.trust is not None and not (path.parent / environment.trust.ca_bundle).is_file():
        place = Place(file, bundle.spot.line, bundle.spot.column, "trust.ca_bundle")
        yield InputError("there is no such file here", remedy="put the PEM file there before a run", place=place, code="no-such-file")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    spot: Spot
    mapping: bool
    anchor: str | None
    items: list["_Raw"] = field(default_factory=list)
    entries: dict[str, tuple[Spot, "_Raw"]] = field(default_factory=dict)
    key: tuple[str, Spot] | None = None


@dataclass(frozen=True, slots=True)
class _Raw:
    """A value before its path is known; ``weight`` counts the nodes that it expands to."""

    spot: Spot
    value: str | int | float | bool | None | list["_Raw"] | dict[str, tuple[Spot, "_Raw"]]
    weight: int
    text: str = ""
    doubt: str = ""


def _parse(text: str) -> Node:
    """Return the tree of a YAML text. Raises ``_SyntaxFault`` (a ``ValueError``) at the first fault."""
    for number, line in enumerate(text.split("\n"), 1):
        bad = next((at for at, character in enumerate(line) if _is_bad(character)), None)
        if bad is not None:
            raise _fault(Spot(number, bad + 1), "a character stands here that cannot be seen or typed", "delete it; only UTF-8 text is taken")
    try:
        raw = _Builder().build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Spot(mark.line + 1, mark.column + 1) if mark is not None else Spot(1, 1)
        what, remedy = explain_syntax(error.problem or "", error.context or "", text, spot.line)
    except yaml.YAMLError:
        spot, what, remedy = Spot(1, 1), "the file is not YAML", "compare with environments/sandbox.yaml"
    else:
        return _node(raw, (), raw.spot)
    # Outside the handler: PyYAML's errors carry lines of the file, and nothing that may hold a secret is chained.
    raise _fault(spot, what, remedy)


def _is_bad(character: str) -> bool:
    return (
        (character < " " and character not in "\t\r")
        or "\x7f" <= character <= "\x9f"
        or "\ud800" <= character <= "\udfff"
        or character in "\ufeff\u2028\u2029\ufffe\uffff"
    )


def _fault(spot: Spot, what: str, remedy: str, code: str = "yaml-syntax") -> _SyntaxFault:
    return _SyntaxFault(Finding(what, remedy, code, (), spot))


class _Builder:
    """Events in, one tree out; iterative, so depth costs no stack."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Raw] = {}
        self._root: _Raw | None = None
        self._nodes = 0

    def build(self, events: Iterator[yaml.Event]) -> _Raw:
        documents = 0
        for event in events:
            spot = Spot(event.start_mark.line + 1, event.start_mark.column + 1)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _fault(spot, "a second document starts here", "write one environment a file")
            elif isinstance(event, yaml.NodeEvent):
                self._node_event(event, spot)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close()
        if self._root is None or (self._root.value is None and not self._root.text):
            raise _fault(Spot(1, 1), "the file is empty", "start from environments/sandbox.yaml", "empty-file")
        return self._root

    def _node_event(self, event: yaml.NodeEvent, spot: Spot) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _fault(spot, f"the file has more than {MAX_NODES} values", "give an environment file", "too-large")
        if isinstance(event, yaml.AliasEvent):
            self._add(self._alias(event, spot))
            return
        if getattr(event, "tag", None) is not None:
            raise _fault(spot, "a tag (!…) stands here; an environment file has none", "write the value without its tag")
        if isinstance(event, yaml.ScalarEvent):
            value, doubt = resolve(event.value) if event.style is None else (event.value, "")
            raw = _Raw(spot, value, 1, event.value, doubt)
            if event.anchor is not None:
                self._anchors[event.anchor] = raw
            self._add(raw)
            return
        if len(self._stack) >= MAX_DEPTH:
            raise _fault(spot, f"lists and mappings are nested deeper than {MAX_DEPTH} levels", "close a bracket, or write it flatter", "too-deep")
        self._stack.append(_Open(spot, isinstance(event, yaml.MappingStartEvent), event.anchor))

    def _alias(self, event: yaml.AliasEvent, spot: Spot) -> _Raw:
        raw = self._anchors.get(event.anchor or "")
        if raw is None:
            raise _fault(spot, "this alias (*…) names no anchor (&…) that is complete above it", "write the value out")
        self._nodes += raw.weight
        if self._nodes > MAX_NODES:
            raise _fault(spot, f"aliases expand to more than {MAX_NODES} values", "write the values out", "too-large")
        return raw

    def _close(self) -> None:
        done = self._stack.pop()
        value: list[_Raw] | dict[str, tuple[Spot, _Raw]] = done.entries if done.mapping else done.items
        children = [raw for _, raw in done.entries.values()] if done.mapping else done.items
        raw = _Raw(done.spot, value, 1 + sum(child.weight for child in children))
        if done.anchor is not None:
            self._anchors[done.anchor] = raw
        self._add(raw)

    def _add(self, raw: _Raw) -> None:
        if not self._stack:
            self._root = raw
            return
        top = self._stack[-1]
        if not top.mapping:
            top.items.append(raw)
        elif top.key is None:
            top.key = self._key(top, raw)
        else:
            key, spot = top.key
            top.entries[key] = (spot, raw)
            top.key = None

    def _key(self, top: _Open, raw: _Raw) -> tuple[str, Spot]:
        if isinstance(raw.value, list | dict):
            raise _fault(raw.spot, "a list or mapping stands where a key is due", "write a plain key; did a value lose its quotes ({{ … }})?")
        key = raw.text
        if not key:
            raise _fault(raw.spot, "a key is empty", "write the key before the colon")
        if key == "<<":
            raise _fault(raw.spot, "merge keys (<<) are not taken", "write the keys out, or alias the whole value (key: *anchor)")
        if key in top.entries:
            first = top.entries[key][0]
            name = dotted((key,))
            raise _fault(raw.spot, f"{name} stands twice in one mapping (first in line {first.line})", "keep one of them", "duplicate-key")
        return key, raw.spot


def _node(raw: _Raw, path: tuple[str | int, ...], key_spot: Spot) -> Node:
    """Give every value its path; aliases are expanded here, within the bound that the builder kept."""
    if isinstance(raw.value, dict):
        entries = {key: _node(item, (*path, key), spot) for key, (spot, item) in raw.value.items()}
        return Node(entries, path, raw.spot, key_spot)
    if isinstance(raw.value, list):
        items = tuple(_node(item, (*path, index), item.spot) for index, item in enumerate(raw.value))
        return Node(items, path, raw.spot, key_spot)
    return Node(raw.value, path, raw.spot, key_spot, raw.text, raw.doubt)
