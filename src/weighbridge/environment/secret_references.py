"""References to secrets: their shape, and the refusal of a secret that stands where its reference is due.

Nothing that stands at or below a reference is ever quoted, whether it looks like a secret or not.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from weighbridge.environment.kubernetes_syntax import is_subdomain
from weighbridge.environment.secret_shapes import looks_like_secret
from weighbridge.environment.tree import Finding, Node, at_key, at_value, key_missing

_ENVIRONMENT_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_HARMLESS_KEY = re.compile(r"[a-z][a-z_-]{0,29}")
_VARIABLES = {"passphrase": "STATE_PASSPHRASE"}
"""Proposed where the key alone says too little."""


@dataclass(frozen=True, slots=True)
class CredentialKeys:
    """The keys of a login, each a reference. ``variables``: key → a variable's name that a remedy may propose."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    variables: Mapping[str, str]
    secret: str = "models-s3"  # noqa: S105 - a name
    """An existing Secret's name that a remedy may propose."""

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


def reference(node: Node, variable: str | None = None) -> Iterator[Finding]:
    """Check ``{env: VARIABLE}`` or ``{file: PATH}``; ``variable`` is a name that a remedy may propose."""
    name = str(node.path[-1]) if node.path else "the value"
    variable = variable or _VARIABLES.get(name, name.upper())
    remedy = f"write a reference: {name}: {{env: {variable}}} or {name}: {{file: /run/secrets/{name.replace('_', '-')}}}"
    if node.value is None:
        yield at_value(node, "no-value", f"{name} has no value", remedy)
    elif not isinstance(node.value, dict):
        what = f"{name} is written as a value; secrets are references and never stand in this file"
        yield at_value(
            node, "secret-in-file", what, f"{remedy}; if it was real, revoke it: it may be in your history"
        )
    elif unknown := [key for key in node.entries if key not in {"env", "file"}]:
        for key in unknown:
            yield _unknown(node, node.entries[key], key, ("env", "file"), remedy)
    elif len(node.entries) != 1:
        what = f"{name} names both env and file" if node.entries else f"{name} refers to nothing"
        yield at_key(node, "bad-reference", what, remedy)
    elif named := node.get("env"):
        yield from _variable_name(named, variable)
    elif file := node.get("file"):
        yield from _file_path(file, name)


def credentials(node: Node, keys: CredentialKeys, *, secret_allowed: bool) -> Iterator[Finding]:
    """Check a mapping of ``keys`` to references or, where allowed, ``{secret: NAME}``."""
    pairs = ", ".join(f"{key}: {{env: {keys.variables[key]}}}" for key in keys.required)
    remedy = f"write credentials: {{{pairs}}}"
    known = (*keys.all, "secret") if secret_allowed else keys.all
    if node.value is None:
        yield at_value(node, "no-value", "credentials has no value", remedy)
        return
    if not isinstance(node.value, dict):
        yield at_value(node, "secret-in-file", "credentials are not written as references", remedy)
        return
    for key, item in node.entries.items():
        if key not in known:
            yield _unknown(node, item, key, known, remedy)
        elif key != "secret":
            yield from reference(item, keys.variables[key])
    if secret_allowed and "secret" in node.entries:
        yield from _secret_name(node, node.entries["secret"], keys)
        return
    unknown = (key for key in node.entries if key not in known)
    meant = {match for key in unknown for match in difflib.get_close_matches(key[:60], known, 1)}
    for key in keys.required:
        if key not in node.entries and key not in meant:
            yield key_missing(node, key, remedy)
    yield from _same_source(node, keys)


def _same_source(node: Node, keys: CredentialKeys) -> Iterator[Finding]:
    seen: dict[tuple[str, str], str] = {}
    for key in keys.all:
        for kind in ("env", "file"):
            item = node.at(key, kind)
            other = seen.setdefault((kind, item.string), key) if item.string is not None else key
            if other != key:
                what = f"{key} and {other} name the same {kind}"
                yield at_value(item, "bad-reference", what, f"write where {key} itself lies")


def _secret_name(parent: Node, node: Node, keys: CredentialKeys) -> Iterator[Finding]:
    others = [key for key in parent.entries if key in keys.all]
    if others:
        what = f"secret stands beside {', '.join(others)}"
        yield at_key(node, "contradiction", what, "keep either secret or the pair of keys")
    elif node.value is None:
        remedy = f"write the name of an existing Kubernetes Secret, e.g. {keys.secret}"
        yield at_value(node, "no-value", "secret has no value", remedy)
    elif node.string is None or not is_subdomain(node.string):
        remedy = f"write its name: lower-case letters, digits, hyphens and dots, e.g. {keys.secret}"
        yield at_value(node, "bad-name", "secret is not the name of a Kubernetes Secret", remedy)


def _variable_name(node: Node, proposed: str) -> Iterator[Finding]:
    remedy = f"write the variable's name, e.g. env: {proposed}"
    what = "env is not the name of an environment variable"
    if fault := _no_plain_text(node, "env names no variable", what, "a variable's name", remedy):
        yield fault
    elif not _ENVIRONMENT_VARIABLE.fullmatch(node.string or ""):
        what += ": letters, digits and underscores, no digit first"
        yield at_value(node, "bad-reference", what, f"{remedy}; a secret's value never stands in this file")


def _file_path(node: Node, name: str) -> Iterator[Finding]:
    remedy = f"write the file's path, e.g. file: /run/secrets/{name.replace('_', '-')}"
    text = node.string or ""
    if fault := _no_plain_text(node, "file names no file", "file is not a path", "a file's path", remedy):
        yield fault
    elif not text.strip() or not text.isprintable() or len(text) > 1024:  # noqa: PLR2004
        yield at_value(node, "bad-reference", "file is not a path", remedy)


def _no_plain_text(node: Node, nothing: str, no_text: str, due: str, remedy: str) -> Finding | None:
    """What stands here is no text at all, or a secret."""
    if node.value is None:
        return at_value(node, "no-value", nothing, remedy)
    if node.string is None:
        return at_value(node, "wrong-type", no_text, remedy)
    if shape := looks_like_secret(node.string):
        return at_value(node, "secret-in-file", f"{shape} stands where {due} is due", remedy)
    return None


def _unknown(parent: Node, node: Node, key: str, known: tuple[str, ...], remedy: str) -> Finding:
    close = difflib.get_close_matches(key[:60].lower().replace("-", "_"), known, 1)
    quoted = f"`{key}`" if _HARMLESS_KEY.fullmatch(key) else "a key"
    what = f"{quoted} is unknown here; known: {', '.join(known)}"
    return Finding(what, f"write {close[0]}" if close else remedy, "unknown-key", parent.path, node.key_spot)
