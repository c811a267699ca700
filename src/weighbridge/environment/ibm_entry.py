"""Entries of IBM's ``spec.custom_foundation_models`` where an environment file is due: recognise, explain, translate.

Shape of an entry: IBM Software Hub 5.x, "Properties and parameters for custom foundation models".
"""

import re
from collections.abc import Callable, Iterator, Mapping

from weighbridge.environment import text_rules
from weighbridge.environment.kubernetes_syntax import suggest_subdomain
from weighbridge.environment.parameter_rules import check_parameters
from weighbridge.environment.tree import Finding, Node, Plain, Spot, at_key, at_value
from weighbridge.environment.yaml_scalars import flow

_LIST_KEY = "custom_foundation_models"
_MARK = re.compile(
    rf"^[ \t]*(?:{_LIST_KEY}[ \t]*:|kind[ \t]*:[ \t]*Watsonxaiifm\b|-[ \t]+model_id[ \t]*:)", re.MULTILINE
)
_MAX_PRINTED = 5


def is_entry(node: Node) -> bool:
    """Tell whether this is an entry of IBM's list rather than a model of ours."""
    return "model_id" in node.entries and "id" not in node.entries


def parameters_by_name(node: Node) -> Node:
    """Return IBM's list of ``{name, default, …}`` as a mapping by name, every position kept; other shapes as they are."""
    if not isinstance(node.value, tuple):
        return node
    entries: dict[str, Node] = {}
    for item in node.items:
        name = item.at("name")
        if name.string:
            rest = {key: value for key, value in item.entries.items() if key != "name"}
            entries.setdefault(name.string, Node(rest, item.path, item.spot, name.spot))
    return Node(entries, node.path, node.spot, node.key_spot)


def equivalent_model(entry: Node) -> str:
    """Return the ``models:`` item that says the same as IBM's entry; what IBM's entry cannot know is an example."""
    model_id = entry.at("model_id").string or "example-13b"
    claim = entry.at("location", "pvc_name").string
    storage: dict[str, Plain] = {"storage_class": "ocs-storagecluster-cephfs"}
    if claim is not None:
        storage = {"existing_pvc": suggest_subdomain(claim) or "example-pvc"}
    credentials: Plain = {"access_key": {"env": "S3_ACCESS_KEY"}, "secret_key": {"env": "S3_SECRET_KEY"}}
    source: Plain = {
        "s3": {
            "bucket": "models",
            "prefix": f"{model_id}/",
            "endpoint": "https://s3.example.com",
            "credentials": credentials,
        }
    }
    lines = [f"  - id: {flow(model_id)}", f"    source: {flow(source)}", f"    storage: {flow(storage)}"]
    for key in ("tags", "functions"):
        values: list[Plain] = [
            item.plain() for item in entry.at(key).items if isinstance(item.value, str | int | float)
        ]
        if values:
            lines.append(f"    {key}: {flow([str(value) for value in values])}")
    parameters = entry.at("parameters")
    if parameters_by_name(parameters).entries:
        lines.append(parameters_text(parameters, "    "))
    return "\n".join(lines)


def parameters_text(parameters: Node, indent: str) -> str:
    """Return ``parameters:`` in the environment file's shape, from IBM's list."""
    lines = [f"{indent}parameters:"]
    for name, node in parameters_by_name(parameters).entries.items():
        lines.append(f"{indent}  {flow(name)}: {flow(node.plain())}")
    return "\n".join(lines)


def foreign_document(root: Node) -> tuple[Finding, ...]:
    """Return what to say about a readable file that is a Kubernetes object or IBM's list, or () for any other."""
    kind, listed = root.get("kind"), _list_in(root)
    if listed is None and not (root.get("apiVersion") and kind):
        return ()
    if listed is None:
        what = f"this is a Kubernetes object of kind {flow(kind.plain()) if kind else ''}, not an environment file"
        return (
            at_value(
                root,
                "foreign-format",
                what,
                "give an environment file: name, cluster, platform, state, pods, models",
            ),
        )
    findings = [_translated(listed)]
    if listed.path == (_LIST_KEY,):
        findings.append(_outside_spec(listed))
    return (*findings, *_entries(listed))


def looks_like_block(text: str) -> bool:
    """Tell whether a text that is not YAML seems to hold IBM's list or custom resource."""
    return _MARK.search(text) is not None


def explain_broken_block(text: str, parse: Callable[[str], Node]) -> tuple[Finding, ...]:
    """Return what is wrong with IBM's block where it does not parse, and what it says in an environment file.

    ``parse`` reads YAML text; it is given the block with its indentation mended, line by line, and may raise
    ``ValueError``. Positions are those of the text as it was.
    """
    lines = text.splitlines()
    start = next(
        (
            number
            for number, line in enumerate(lines)
            if re.match(rf"\s*({_LIST_KEY}\s*:|-\s+model_id\s*:)", line)
        ),
        None,
    )
    if start is None:
        return ()
    findings = [*_ellipses(lines), *_over_indented(lines, start)]
    mended, shifts = _reindented(lines, start)
    try:
        root = _shifted(parse(mended), shifts)
    except ValueError:
        return tuple(findings)
    listed = _list_in(root)
    if listed is None:
        return tuple(findings)
    findings.append(_translated(listed))
    if re.match(_LIST_KEY, lines[start]) and not any(re.match(r"spec\s*:", line) for line in lines[:start]):
        findings.append(_outside_spec(listed))
    return (*findings, *_entries(listed))


def _list_in(root: Node) -> Node | None:
    for found in (root.get("spec", _LIST_KEY), root.get(_LIST_KEY), root):
        if found is not None and found.items and all(is_entry(item) for item in found.items):
            return found
    return None


def _translated(listed: Node) -> Finding:
    models = "\n".join(equivalent_model(entry) for entry in listed.items[:_MAX_PRINTED])
    what = "this is IBM's Watsonxaiifm custom resource, or a part of it, not an environment file; Weighbridge writes it for you"
    spot = listed.key_spot
    return Finding(
        what,
        f"in an environment file the same reads (what is wrong in it is named below):\nmodels:\n{models}",
        "foreign-format",
        listed.path,
        spot,
    )


def _outside_spec(listed: Node) -> Finding:
    what = f"{_LIST_KEY} stands at the top level; in the custom resource it belongs under spec:"
    return at_key(
        listed,
        "foreign-format",
        what,
        f"in a custom resource write spec: and, indented below it, {_LIST_KEY}:",
    )


def _entries(listed: Node) -> Iterator[Finding]:
    for entry in listed.items[:100]:
        for node, check in (
            (entry.at("model_id"), text_rules.model_id),
            (entry.at("location", "pvc_name"), text_rules.subdomain),
        ):
            for said in check(node.string) if node.string else ():
                yield at_value(node, said.code, said.what, said.remedy)
        yield from check_parameters(parameters_by_name(entry.at("parameters")), None)


def _ellipses(lines: list[str]) -> Iterator[Finding]:
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "...":
            what = "three dots end a YAML document; what follows is not part of it"
            yield Finding(what, "remove the line", "yaml-syntax", (), Spot(number, 1))


def _over_indented(lines: list[str], start: int) -> Iterator[Finding]:
    """Keys of a list's item must start in the column of its first key: two beyond the hyphen, when one space follows it."""
    spots: list[tuple[int, int, int]] = []
    for number in range(start, len(lines) - 1):
        item = re.match(r"(\s*)-(\s+)[\w.-]+\s*:\s*\S", lines[number])
        below = re.match(r"(\s*)[\w.-]+\s*:", lines[number + 1])
        if item and below:
            due = len(item[1]) + 1 + len(item[2])
            if len(below[1]) > due:
                spots.append((number + 2, len(below[1]) + 1, due + 1))
    if spots:
        line, column, due = spots[0]
        what = f"this key starts in column {column}, but the item's first key, one line above, starts in column {due}: that is not YAML"
        others = [str(other) for other, _, _ in spots[1:10]]
        remedy = f"start it in column {due}"
        if others:
            remedy += f"; the same in {'lines' if others[1:] else 'line'} {', '.join(others)}"
        yield Finding(what, remedy, "yaml-syntax", (), Spot(line, column))


def _reindented(lines: list[str], start: int) -> tuple[str, dict[int, int]]:
    """Return the block alone, each deeper level two columns in, lines kept in place; and the shift of each line."""
    levels: list[tuple[int, int]] = []
    shifts: dict[int, int] = {}
    mended = [""] * start
    for number in range(start, len(lines)):
        line = lines[number]
        body = line.strip()
        if body == "..." or body.startswith(("---", "```")):
            break
        if not body or body.startswith("#"):
            mended.append("")
            continue
        actual = len(line) - len(line.lstrip())
        while levels and levels[-1][0] > actual:
            levels.pop()
        if not levels or levels[-1][0] < actual:
            levels.append((actual, levels[-1][1] + 2 if levels else 0))
        mended.append(" " * levels[-1][1] + body)
        shifts[number + 1] = actual - levels[-1][1]
    return "\n".join(mended), shifts


def _shifted(node: Node, shifts: Mapping[int, int]) -> Node:
    def moved(spot: Spot) -> Spot:
        return Spot(spot.line, spot.column + shifts.get(spot.line, 0))

    value = node.value
    if isinstance(value, Mapping):
        value = {key: _shifted(item, shifts) for key, item in value.items()}
    elif isinstance(value, tuple):
        value = tuple(_shifted(item, shifts) for item in value)
    return Node(value, node.path, moved(node.spot), moved(node.key_spot), node.text, node.doubt)
