"""Everything that is wrong with an environment file, from its tree: shape, rules, secrets. Pure; no network, no disk."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from weighbridge.environment.ibm_entry import foreign_document
from weighbridge.environment.rules import Stacks, check_contexts, check_rules
from weighbridge.environment.secret_shapes import looks_like_secret
from weighbridge.environment.sections import Sections, check_sections, environment_type
from weighbridge.environment.shape import check_shape
from weighbridge.environment.tree import Finding, Node, at_key, at_value

MAX_FINDINGS = 200
"""More are not collected: the file is something else altogether."""


def check(root: Node, brought: Sections, stacks: Stacks = None) -> tuple[Finding, ...]:
    """Return errors and warnings in the file's order; no error means that ``Environment`` can be built. ``brought``: the
    sections of the steps; ``stacks``: names of their stacks, ``None`` where any may be meant.
    """
    foreign = foreign_document(root)
    shape = check_shape(root, environment_type(brought))
    rules = chain(check_rules(root), check_contexts(root, stacks), check_sections(root, brought))
    found = foreign or (*islice(shape, MAX_FINDINGS), *islice(rules, MAX_FINDINGS))
    return in_order(_with_secrets(root, found))


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings in the file's order, each once."""
    return tuple(
        sorted(dict.fromkeys(findings), key=lambda finding: (finding.spot.line, finding.spot.column))
    )


def _with_secrets(root: Node, findings: tuple[Finding, ...]) -> Iterator[Finding]:
    """Add a finding for each pasted secret; it stands in place of whatever else was said about that value."""
    known = {finding.path for finding in findings if finding.code == "secret-in-file"}
    secrets = [
        finding
        for finding in islice(_secrets(root), MAX_FINDINGS)
        if not any(finding.path[:length] in known for length in range(len(finding.path) + 1))
    ]
    replaced = {finding.path for finding in secrets}
    yield from (finding for finding in findings if finding.path not in replaced)
    yield from secrets


def _secrets(root: Node) -> Iterator[Finding]:
    remedy = (
        "remove it, and revoke it if it was real; a secret is named by reference: {env: NAME} or {file: PATH}"
    )
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting.extend((*node.items, *node.entries.values()))
        if isinstance(node.value, str) and (shape := looks_like_secret(node.value)):
            yield at_value(node, "secret-in-file", f"{shape} stands in this file", remedy)
        for key, item in node.entries.items():
            if shape := looks_like_secret(key):
                yield at_key(item, "secret-in-file", f"{shape} stands in this file, as a key", remedy)
