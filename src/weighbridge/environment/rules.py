"""Rules that cross the fields of an environment file, apart from those on parameters (``environment/parameter_rules.py``).

Each rule is tolerant: it judges what is there and of the right type, and leaves the rest to ``environment_shape``.
"""

from collections.abc import Iterator
from typing import TypeAlias

from pydantic import BaseModel

from weighbridge.domain.naming import ENVIRONMENT_LABEL, MANAGED_BY_LABEL, receipt_key, slug
from weighbridge.environment import text_rules
from weighbridge.environment.ibm_entry import parameters_by_name
from weighbridge.environment.parameter_rules import KNOWN_VERSIONS, VLLM_VERSION, Version, check_parameters
from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.shape import nearest
from weighbridge.environment.tree import Finding, Node, at_key, at_value
from weighbridge.environment.types import Cluster, Proxy, Route, Source, Storage
from weighbridge.environment.yaml_scalars import flow
from weighbridge.sources import SOURCES

FUNCTIONS = ("image_chat", "audio_chat", "embedding", "rerank")
"""Functions named by IBM Software Hub 5.4, "Properties and parameters …"; the complete list was not to be had."""

Stacks: TypeAlias = tuple[str, ...] | None
"""Names of the stacks there are; ``None``: not known here."""

_FIRST_PATCH_OF_4_8 = 4

_BESIDE_A_CLAIM = {
    "storage_class": (
        "contradiction",
        "storage_class stands beside existing_pvc",
        "keep storage_class for a claim that Weighbridge makes, or existing_pvc for one that exists",
    ),
    "size": (
        "contradiction",
        "size stands beside existing_pvc",
        "remove size: the claim's owner has decided it",
    ),
    "access_mode": (
        "no-effect",
        "access_mode has no effect beside existing_pvc",
        "remove it: the claim has its own",
    ),
}
"""Key of ``storage`` → what is said of it beside ``existing_pvc``; without effect is a warning."""


def check_rules(root: Node) -> Iterator[Finding]:
    """Yield what is wrong between fields, in no particular order."""
    yield from _cluster(root.at("cluster"))
    yield from _proxy(root.at("proxy"))
    yield from _state(root.at("state"))
    yield from _pods(root.at("pods"))
    yield from _version(root.at("platform", "version"))
    yield from _models(root.at("models"), platform_version(root))


def platform_version(root: Node) -> Version | None:
    """Return ``(5, 2)`` for ``"5.2"`` or ``"5.2.1"``; None where the file has no readable version."""
    parts = _parts(root.at("platform", "version"))
    return (parts[0], parts[1]) if parts else None


def check_contexts(root: Node, stacks: Stacks) -> Iterator[Finding]:
    """Yield the keys of ``cluster.contexts`` that are no stack of ``stacks``."""
    for name, node in root.at("cluster", "contexts").entries.items():
        if stacks is not None and name not in stacks:
            close = nearest(name, list(stacks))
            remedy = f"did you mean {close}?" if close else f"stacks: {', '.join(stacks)}"
            yield at_key(node, "unknown-stack", f"there is no stack {shown(name)}", remedy)


def _cluster(cluster: Node) -> Iterator[Finding]:
    inside = cluster.get("in_cluster")
    if "context" in cluster.entries:
        if inside is not None and inside.value is True:
            what = "both context and in_cluster: true are given"
            remedy = "keep one: a kubeconfig context, or the pod's own service account"
            yield at_key(inside, "contradiction", what, remedy)
    elif inside is None or inside.value is False:
        what = "neither context nor in_cluster is given"
        remedy = "write context: NAME as `kubectl config get-contexts` lists it, or in_cluster: true"
        yield from _one_is_due(cluster, Cluster, ("context", "in_cluster"), what, remedy)


def _proxy(proxy: Node) -> Iterator[Finding]:
    if not proxy.entries.keys() & {"http", "https"}:
        remedy = "write https: http://proxy.example.com:3128, or remove proxy"
        yield from _one_is_due(proxy, Proxy, ("http", "https"), "proxy names no proxy", remedy)


def _state(state: Node) -> Iterator[Finding]:
    credentials = state.get("credentials")
    if credentials is not None and (state.at("backend").string or "").startswith("file://"):
        what = "credentials are given for a backend in files"
        yield at_key(credentials, "contradiction", what, "remove credentials, or write an s3:// backend")


def _pods(pods: Node) -> Iterator[Finding]:
    for key, node in pods.at("labels").entries.items():
        if key == MANAGED_BY_LABEL or key.startswith(ENVIRONMENT_LABEL.partition("/")[0] + "/"):
            yield at_key(node, "reserved-label", f"Weighbridge sets {shown(key)} itself", "remove the line")
    for toleration in pods.at("tolerations").items:
        exists, value = toleration.at("operator").string == "Exists", toleration.get("value")
        if exists and value is not None:
            remedy = "remove value, or write operator: Equal"
            yield at_key(value, "contradiction", "operator Exists takes no value", remedy)
        if "key" not in toleration.entries and not exists and isinstance(toleration.value, dict):
            what = "a toleration without a key needs operator: Exists"
            remedy = "write key: NAME, or operator: Exists to tolerate every taint"
            yield at_key(toleration, "missing-key", what, remedy)


def _parts(version: Node) -> tuple[int, ...]:
    """``(5, 2)`` or ``(5, 2, 1)``; nothing where it is no version."""
    text = version.string or ""
    return () if text_rules.version(text) else tuple(int(part) for part in text.split("."))


def _version(node: Node) -> Iterator[Finding]:
    parts = _parts(node)
    version, newest = parts[:2], KNOWN_VERSIONS[-1]
    known = ", ".join(f"{major}.{minor}" for major, minor in KNOWN_VERSIONS)
    if version == KNOWN_VERSIONS[0] and len(parts) > 2 and parts[2] < _FIRST_PATCH_OF_4_8:  # noqa: PLR2004
        what = f"{shown(node.string)} cannot serve custom foundation models"
        yield at_value(node, "bad-version", what, "they came with 4.8.4: write that or a later version")
    elif not parts or version in KNOWN_VERSIONS:
        return
    elif version > newest and version[0] <= newest[0] + 1 and version[1] <= 9:  # noqa: PLR2004
        what = f"{shown(node.string)} is newer than what Weighbridge knows ({known}); the rules of {newest[0]}.{newest[1]} are applied"
        remedy = "check the parameters against IBM's documentation of that version"
        yield at_value(node, "unknown-version", what, remedy, warning=True)
    else:
        what = f"{shown(node.string)} is not a version with custom foundation models"
        yield at_value(node, "bad-version", what, f"known: {known}")


def _models(models: Node, version: Version | None) -> Iterator[Finding]:
    yield from _unique_ids([node for model in models.items if (node := model.at("id")).string])
    yield from _shared_claims(models)
    for model in models.items:
        yield from _source(model)
        yield from _storage(model.at("storage"))
        yield from _functions(model.at("functions"), version)
        for key in ("routes", "tags", "functions", "exclude"):
            yield from _unique(model.at(key))
        yield from check_parameters(parameters_by_name(model.at("parameters")), version)


def _unique_ids(ids: list[Node]) -> Iterator[Finding]:
    seen: dict[str, Node] = {}
    for node in ids:
        model_id = node.string or ""
        for name in (
            f"id {model_id}",
            f"name {slug(model_id)}",
            f"key {receipt_key(model_id)}",
            f"folder {model_id.replace('/', '__')}",
        ):
            other = seen.setdefault(name, node)
            if other is not node:
                what = f"{shown(model_id)} and {shown(other.string)} would share names in the cluster"
                if other.string == model_id:
                    what = f"model id {shown(model_id)} stands twice"
                what += f" (first in line {other.spot.line})"
                yield at_value(node, "duplicate-id", what, "give each model an id of its own")
                break


def _shared_claims(models: Node) -> Iterator[Finding]:
    """On one claim each model's sets lie in a folder of its id: one id must not be a folder within another's."""
    claims: dict[str, list[Node]] = {}
    for model in models.items:
        claim, node = model.at("storage", "existing_pvc"), model.at("id")
        if not claim.string or not node.string:
            continue
        others = claims.setdefault(claim.string, [])
        for other in others:
            mine, theirs = f"{node.string}/", f"{other.string}/"
            if mine != theirs and (mine.startswith(theirs) or theirs.startswith(mine)):
                what = f"{shown(node.string)} and {shown(other.string)} lie within one another on the claim {shown(claim.string)}"
                remedy = "give each its own claim, or ids of which none is a folder of the other"
                yield at_value(node, "duplicate-id", what, remedy)
        others.append(node)


def _source(model: Node) -> Iterator[Finding]:
    """Exactly one kind, its own rules, and no route that it cannot take."""
    source = model.at("source")
    kinds = [kind for key, kind in SOURCES.items() if key in source.entries]
    if not kinds:
        examples = (f"{kind.kind}: {flow(dict(kind.example))}" for kind in SOURCES.values())
        remedy = f"write {', or '.join(examples)}"
        yield from _one_is_due(source, Source, tuple(SOURCES), "source names no kind of source", remedy)
    for kind in kinds[1:]:
        what = f"{kind.kind} stands beside {kinds[0].kind}"
        remedy = "keep one: weights come from one place"
        yield at_key(source.entries[kind.kind], "contradiction", what, remedy)
    for kind in kinds:
        yield from kind.rules(source.entries[kind.kind])
        for route in model.at("routes").items:
            if route.string in set(Route) and route.string not in kind.routes:
                able = ", ".join(route.value for route in Route if route in kind.routes)
                what = f"weights of a source of kind {kind.kind} cannot come by {route.string}"
                remedy = f"write routes: [{able}], or leave routes out"
                yield at_value(route, "route-impossible", what, remedy)


def _storage(storage: Node) -> Iterator[Finding]:
    mode = storage.at("access_mode")
    if "existing_pvc" in storage.entries:
        for key, (code, what, remedy) in _BESIDE_A_CLAIM.items():
            if key in storage.entries:
                yield at_key(storage.entries[key], code, what, remedy, warning=code == "no-effect")
        return
    if "storage_class" not in storage.entries:
        what = "storage names neither storage_class nor existing_pvc"
        remedy = "write storage_class: NAME, or existing_pvc: NAME for a claim that exists"
        near = ("existing_pvc", "storage_class", "pvc_name", "class")
        yield from _one_is_due(storage, Storage, near, what, remedy)
    if mode.string == "ReadWriteOnce":
        what = "a ReadWriteOnce volume serves the pods of one node only"
        remedy = "write ReadWriteMany where the storage class offers it"
        yield at_value(mode, "single-node", what, remedy, warning=True)


def _functions(functions: Node, version: Version | None) -> Iterator[Finding]:
    for item in functions.items:
        if item.string and item.string not in FUNCTIONS:
            close = nearest(item.string, list(FUNCTIONS))
            what = f"{shown(item.string)} is not among the functions that IBM documents"
            remedy = f"did you mean {close}?" if close else f"documented: {', '.join(FUNCTIONS)}"
            yield at_value(item, "unknown-function", what, remedy, warning=True)
    if functions.items and version is not None and version < VLLM_VERSION:
        what = f"functions is documented for 5.4; whether {version[0]}.{version[1]} reads it is unknown"
        yield at_key(functions, "unknown-function", what, "leave it out for plain text models", warning=True)


def _unique(items: Node) -> Iterator[Finding]:
    seen: dict[str, Node] = {}
    for item in items.items:
        if item.string and seen.setdefault(item.string, item) is not item:
            yield at_value(item, "duplicate-item", f"{shown(item.string)} stands twice", "remove one of them")


def _one_is_due(
    node: Node, model: type[BaseModel], keys: tuple[str, ...], what: str, remedy: str
) -> Iterator[Finding]:
    """None of ``keys`` stands in a mapping. One that is misspelt is reported as unknown; no need to say this as well."""
    misspelt = any(key not in model.model_fields and nearest(key, list(keys)) for key in node.entries)
    if isinstance(node.value, dict) and not misspelt:
        yield at_key(node, "missing-key", what, remedy)
