"""The kubeconfig as kubectl reads it: several files merged (Kubernetes, "Organizing Cluster Access Using kubeconfig
Files", "Merging kubeconfig files"): the first file that names a cluster, user, context or current-context wins.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from lightkube import KubeConfig
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.exceptions import ConfigError

from weighbridge.errors import PreconditionError

_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
# Its types are met while there is one thread: see weighbridge.kubernetes.client.
KubeConfig.from_dict(
    {
        "current-context": "none",
        "clusters": [{"name": "none", "cluster": {"server": "https://none"}}],
        "contexts": [{"name": "none", "context": {"cluster": "none"}}],
        "users": [{"name": "none", "user": {}}],
    }
).get()


def service_account() -> SingleConfig:
    """The pod's own. ``PreconditionError`` where this process is in no pod."""
    try:
        return cast("SingleConfig", KubeConfig.from_service_account().get())
    except ConfigError as error:
        raise PreconditionError(
            "cluster.in_cluster is true, but this process has no service account token",
            remedy="run it in a pod with automountServiceAccountToken, or name a context instead",
            code="cluster-config",
        ) from error


def kubeconfig(context: str | None, environ: Mapping[str, str] | None = None) -> SingleConfig:
    """``context`` (or the current one) of the files that ``KUBECONFIG`` or ``~/.kube/config`` names."""
    variable = (os.environ if environ is None else environ).get("KUBECONFIG") or "~/.kube/config"
    files = [Path(part).expanduser() for part in variable.split(os.pathsep) if part]
    where = ", ".join(str(file) for file in files)
    merged = _merged([file for file in files if file.is_file()])
    known = sorted(str(item["name"]) for item in merged["contexts"])
    wanted = context or merged["current-context"]
    if wanted not in known:
        what = (
            f"there is no context {wanted!r} in {where}"
            if wanted
            else f"no current context is set in {where}"
        )
        nothing = 'set KUBECONFIG; for the sandbox: eval "$(weighbridge-sandbox env)"'
        remedy = f"known contexts: {', '.join(known)}" if known else nothing
        raise PreconditionError(what, remedy=remedy, code="cluster-config")
    try:
        return cast("SingleConfig", KubeConfig.from_dict(merged).get(wanted))
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise PreconditionError(
            f"context {wanted!r} of {where} names a cluster or user that is not there: {error}",
            code="cluster-config",
        ) from error


def _merged(files: list[Path]) -> dict[str, Any]:
    merged: dict[str, Any] = {"current-context": None, **{key: [] for key in _LISTS}}
    for file in files:
        parsed = _parsed(file)
        merged["current-context"] = merged["current-context"] or parsed.get("current-context") or None
        for key, inner in _LISTS.items():
            names = {item["name"] for item in merged[key]}
            for item in parsed.get(key) or []:
                if item.get("name") not in names:
                    merged[key].append(
                        {"name": item.get("name"), inner: _absolute(item.get(inner) or {}, file.parent)}
                    )
    return merged


def _parsed(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PreconditionError(
            f"the kubeconfig file {file} cannot be read: {error}", code="cluster-config"
        ) from error
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(found.get(key) or [], list) for key in _LISTS):
        raise PreconditionError(f"{file} is no kubeconfig file", code="cluster-config")
    return found


def _absolute(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {
        key: str((folder / str(value)).absolute()) if key in _FILES and value else value
        for key, value in values.items()
    }
