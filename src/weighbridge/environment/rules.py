"""Rules that cross the fields of an environment file, apart from those on parameters (``environment/parameter_rules.py``).

Each rule is tolerant: it judges what is there and of the right type, and leaves the rest to ``environment_shape``.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

from pydantic import BaseModel

from weighbridge.domain.naming import ENVIRONMENT_LABEL, MANAGED_BY_LABEL, receipt_key, slug
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


def check_rules(root: Node) -> Iterator[Finding]:
    """Yield what is wrong between fields, in no particular order."""
    yield from _cluster(root.get("cluster"))
    yield from _proxy(root.get("proxy"))
    yield from _state(root.get("state"))
    yield from _pods(root.get("pods"))
    yield from _version(root.get("platform", "version"))
    models = root.get("models")
    if models is not None:
        yield from _models(models, platform_version(root))


def platform_version(root: Node) -> Version | None:
    """Return ``(5, 2)`` for ``"5.2"`` or ``"5.2.1"``; None where the file has no readable version."""
    node = root.get("platform", "version")
    match = (
        re.fullmatch(r"([0-9]{1,2})\.([0-9]{1,2})(\.[0-9]{1,3})?", node.string or "")
        if node is not None
        else None
    )
    return (int(match[1]), int(match[2])) if match else None


def check_contexts(root: Node, stacks: Stacks) -> Iterator[Finding]:
    """Yield the keys of ``cluster.contexts`` that are no stack of ``stacks``."""
    contexts = root.get("cluster", "contexts")
    if contexts is None or stacks is None:
        return
    for name, node in contexts.entries.items():
        if name not in stacks:
            close = nearest(name, list(stacks))
            yield at_key(
                node,
                "unknown-stack",
                f"there is no stack {shown(name)}",
                f"did you mean {close}?" if close else f"stacks: {', '.join(stacks)}",
            )


def _cluster(cluster: Node | None) -> Iterator[Finding]:
    if cluster is None or not isinstance(cluster.value, dict):
        return
    context, inside = cluster.get("context"), cluster.get("in_cluster")
    if context is not None and inside is not None and inside.value is True:
        yield at_key(
            inside,
            "contradiction",
            "both context and in_cluster: true are given",
            "keep one: a kubeconfig context, or the pod's own service account",
        )
    elif (
        context is None
        and (inside is None or inside.value is False)
        and not _has_near(cluster, Cluster, "context", "in_cluster")
    ):
        yield Finding(
            "neither context nor in_cluster is given",
            "write context: NAME as `kubectl config get-contexts` lists it, or in_cluster: true",
            "missing-key",
            cluster.path,
            cluster.key_spot,
        )


def _proxy(proxy: Node | None) -> Iterator[Finding]:
    if proxy is None or not isinstance(proxy.value, dict):
        return
    if (
        "http" not in proxy.entries
        and "https" not in proxy.entries
        and not _has_near(proxy, Proxy, "http", "https")
    ):
        yield at_key(
            proxy,
            "missing-key",
            "proxy names no proxy",
            "write https: http://proxy.example.com:3128, or remove proxy",
        )


def _state(state: Node | None) -> Iterator[Finding]:
    backend, credentials = (
        state.get(key) if state is not None else None for key in ("backend", "credentials")
    )
    if backend is not None and credentials is not None and (backend.string or "").startswith("file://"):
        yield at_key(
            credentials,
            "contradiction",
            "credentials are given for a backend in files",
            "remove credentials, or write an s3:// backend",
        )


def _pods(pods: Node | None) -> Iterator[Finding]:
    if pods is None:
        return
    labels = pods.get("labels")
    for key, node in (labels.entries if labels is not None else {}).items():
        if key == MANAGED_BY_LABEL or key.startswith(ENVIRONMENT_LABEL.partition("/")[0] + "/"):
            yield at_key(node, "reserved-label", f"Weighbridge sets {shown(key)} itself", "remove the line")
    for toleration in found.items if (found := pods.get("tolerations")) is not None else ():
        operator, value = toleration.get("operator"), toleration.get("value")
        exists = operator is not None and operator.string == "Exists"
        if exists and value is not None:
            yield at_key(
                value,
                "contradiction",
                "operator Exists takes no value",
                "remove value, or write operator: Equal",
            )
        if "key" not in toleration.entries and not exists and isinstance(toleration.value, dict):
            yield at_key(
                toleration,
                "missing-key",
                "a toleration without a key needs operator: Exists",
                "write key: NAME, or operator: Exists to tolerate every taint",
            )


def _version(node: Node | None) -> Iterator[Finding]:
    match = (
        re.fullmatch(r"([0-9]{1,2})\.([0-9]{1,2})(?:\.([0-9]{1,3}))?", node.string or "")
        if node is not None
        else None
    )
    if node is None or match is None:
        return
    version = (int(match[1]), int(match[2]))
    known = ", ".join(f"{major}.{minor}" for major, minor in KNOWN_VERSIONS)
    newest = KNOWN_VERSIONS[-1]
    if version == KNOWN_VERSIONS[0] and match[3] is not None and int(match[3]) < _FIRST_PATCH_OF_4_8:
        yield at_value(
            node,
            "bad-version",
            f"{shown(node.string)} cannot serve custom foundation models",
            "they came with 4.8.4: write that or a later version",
        )
    elif version in KNOWN_VERSIONS:
        return
    elif version > newest and version[0] <= newest[0] + 1 and version[1] <= 9:  # noqa: PLR2004
        what = f"{shown(node.string)} is newer than what Weighbridge knows ({known}); the rules of {newest[0]}.{newest[1]} are applied"
        yield at_value(
            node,
            "unknown-version",
            what,
            "check the parameters against IBM's documentation of that version",
            warning=True,
        )
    else:
        yield at_value(
            node,
            "bad-version",
            f"{shown(node.string)} is not a version with custom foundation models",
            f"known: {known}",
        )


def _models(models: Node, version: Version | None) -> Iterator[Finding]:
    ids = [node for model in models.items if (node := model.get("id")) is not None and node.string]
    yield from _unique_ids(ids)
    yield from _shared_claims(models)
    for model in models.items:
        yield from _source(model)
        yield from _storage(model.get("storage"))
        yield from _functions(model.get("functions"), version)
        for key in ("routes", "tags", "functions", "exclude"):
            yield from _unique(model.get(key))
        parameters = model.get("parameters")
        if parameters is not None:
            yield from check_parameters(parameters_by_name(parameters), version)


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
            if other is node:
                continue
            same = other.string == model_id
            what = (
                f"model id {shown(model_id)} stands twice"
                if same
                else f"{shown(model_id)} and {shown(other.string)} would share names in the cluster"
            )
            yield at_value(
                node,
                "duplicate-id",
                f"{what} (first in line {other.spot.line})",
                "give each model an id of its own",
            )
            break


def _shared_claims(models: Node) -> Iterator[Finding]:
    """On one claim each model's sets lie in a folder of its id: one id must not be a folder within another's."""
    claims: dict[str, list[Node]] = {}
    for model in models.items:
        claim, node = model.get("storage", "existing_pvc"), model.get("id")
        if claim is None or node is None or not claim.string or not node.string:
            continue
        others = claims.setdefault(claim.string, [])
        for other in others:
            mine, theirs = f"{node.string}/", f"{other.string}/"
            if mine != theirs and (mine.startswith(theirs) or theirs.startswith(mine)):
                what = f"{shown(node.string)} and {shown(other.string)} lie within one another on the claim {shown(claim.string)}"
                yield at_value(
                    node,
                    "duplicate-id",
                    what,
                    "give each its own claim, or ids of which none is a folder of the other",
                )
        others.append(node)


def _source(model: Node) -> Iterator[Finding]:
    """Exactly one kind, its own rules, and no route that it cannot take."""
    source, routes = model.get("source"), model.get("routes")
    if source is None or not isinstance(source.value, dict):
        return
    kinds = [kind for key, kind in SOURCES.items() if key in source.entries]
    if not kinds and not _has_near(source, Source, *SOURCES):
        [example, *others] = (f"{kind.kind}: {flow(dict(kind.example))}" for kind in SOURCES.values())
        remedy = f"write {example}" + "".join(f", or {other}" for other in others)
        yield at_key(source, "missing-key", "source names no kind of source", remedy)
    for kind in kinds[1:]:
        what = f"{kind.kind} stands beside {kinds[0].kind}"
        yield at_key(
            source.entries[kind.kind], "contradiction", what, "keep one: weights come from one place"
        )
    for kind in kinds:
        yield from kind.rules(source.entries[kind.kind])
        for route in routes.items if routes is not None else ():
            if route.string in set(Route) and route.string not in kind.routes:
                able = ", ".join(route.value for route in Route if route in kind.routes)
                what = f"weights of a source of kind {kind.kind} cannot come by {route.string}"
                yield at_value(
                    route, "route-impossible", what, f"write routes: [{able}], or leave routes out"
                )


def _storage(storage: Node | None) -> Iterator[Finding]:
    if storage is None or not isinstance(storage.value, dict):
        return
    existing, made = storage.get("existing_pvc"), storage.get("storage_class")
    size, mode = storage.get("size"), storage.get("access_mode")
    if existing is not None and made is not None:
        yield at_key(
            made,
            "contradiction",
            "storage_class stands beside existing_pvc",
            "keep storage_class for a claim that Weighbridge makes, or existing_pvc for one that exists",
        )
    elif (
        existing is None
        and made is None
        and not _has_near(storage, Storage, "existing_pvc", "storage_class", "pvc_name", "class")
    ):
        yield at_key(
            storage,
            "missing-key",
            "storage names neither storage_class nor existing_pvc",
            "write storage_class: NAME, or existing_pvc: NAME for a claim that exists",
        )
    if existing is not None and size is not None:
        yield at_key(
            size,
            "contradiction",
            "size stands beside existing_pvc",
            "remove size: the claim's owner has decided it",
        )
    if existing is not None and mode is not None:
        yield at_key(
            mode,
            "no-effect",
            "access_mode has no effect beside existing_pvc",
            "remove it: the claim has its own",
            warning=True,
        )
    elif mode is not None and mode.string == "ReadWriteOnce":
        what = "a ReadWriteOnce volume serves the pods of one node only"
        yield at_value(
            mode, "single-node", what, "write ReadWriteMany where the storage class offers it", warning=True
        )


def _functions(functions: Node | None, version: Version | None) -> Iterator[Finding]:
    for item in functions.items if functions is not None else ():
        if item.string and item.string not in FUNCTIONS:
            close = nearest(item.string, list(FUNCTIONS))
            what = f"{shown(item.string)} is not among the functions that IBM documents"
            yield at_value(
                item,
                "unknown-function",
                what,
                f"did you mean {close}?" if close else f"documented: {', '.join(FUNCTIONS)}",
                warning=True,
            )
    if functions is not None and functions.items and version is not None and version < VLLM_VERSION:
        what = f"functions is documented for 5.4; whether {version[0]}.{version[1]} reads it is unknown"
        yield at_key(functions, "unknown-function", what, "leave it out for plain text models", warning=True)


def _unique(items: Node | None) -> Iterator[Finding]:
    seen: dict[str, Node] = {}
    for item in items.items if items is not None else ():
        if item.string and seen.setdefault(item.string, item) is not item:
            yield at_value(item, "duplicate-item", f"{shown(item.string)} stands twice", "remove one of them")


def _has_near(node: Node, model: type[BaseModel], *keys: str) -> bool:
    """A misspelt key is reported as unknown; that it is missing need not be said as well."""
    return any(key not in model.model_fields and nearest(key, list(keys)) for key in node.entries)
