"""What the Pulumi CLI is told through its environment, and the secrets it gets without being told a value.

Secrets travel as memory files (``memfd_create``): the environment names ``/dev/fd/N`` only, so neither the file system nor
``/proc/PID/environ`` of the CLI or of a plugin holds a value, and nothing is left behind by any kind of death. Where
there are no memory files (not Linux), the values go into the environment of the child.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from weighbridge.domain.credentials import S3Keys
from weighbridge.domain.digest import canonical_json
from weighbridge.domain.stacks import (
    CONTEXT_VARIABLE,
    IN_CLUSTER_VARIABLE,
    SEEN_VARIABLE,
    ClusterIdentity,
    StackSpec,
    seen_json,
)

_OURS = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # nothing is fetched at run time
    "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",  # the salt comes from the state, not from a checkout
    "PULUMI_DIY_BACKEND_NO_LEGACY_WARNING": "true",
    "PULUMI_SUPPRESS_NEO_LINK": "true",
    "NO_COLOR": "1",
}

_NOT_INHERITED = ("PULUMI_", "WEIGHBRIDGE_")
_AWS_IDENTITY = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is around every call of the CLI; the same for all stacks of one environment."""

    home: Path
    """PULUMI_HOME: a folder of Weighbridge's own."""
    search: tuple[Path, ...]
    """Folders that come before PATH."""
    kubeconfig: str | None = None
    """As the variable KUBECONFIG takes it: one path, or several with ``:`` between them."""
    withheld: frozenset[str] = frozenset()
    """Variables that hold secrets of ours: children never inherit them."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Proxy and trust settings of the environment file."""


@dataclass(frozen=True, kw_only=True)
class StateSecrets:
    """What opens the state. Never part of a representation."""

    passphrase: str = field(repr=False)
    keys: S3Keys | None = field(default=None, repr=False)


def child_environment(
    surroundings: Surroundings, ambient: Mapping[str, str], *, backend: str, own_identity: bool
) -> dict[str, str]:
    """The CLI's environment without the secrets.

    The user's own variables stay (kubeconfig login plugins such as ``aws eks get-token`` need theirs), less Pulumi's,
    ours and those that hold secrets. ``own_identity``: the state's S3 keys are given, so ambient AWS ones are dropped.
    """
    hidden = surroundings.withheld | (set(_AWS_IDENTITY) if own_identity else set())
    kept = {
        name: value
        for name, value in ambient.items()
        if name not in hidden and not name.startswith(_NOT_INHERITED)
    }
    path = os.pathsep.join([*map(str, surroundings.search), kept.get("PATH", os.defpath)])
    return (
        kept
        | dict(surroundings.extra)
        | _OURS
        | {"PATH": path, "PULUMI_HOME": str(surroundings.home), "PULUMI_BACKEND_URL": backend}
    )


def cluster_variables(cluster: ClusterIdentity, kubeconfig: str | None, folder: Path) -> dict[str, str]:
    """How the child reaches the cluster that is meant, and no other; files are made in ``folder``.

    ``kubeconfig``: as KUBECONFIG takes it; ``None`` is the usual file. With ``in_cluster`` it is left out: client-go takes
    the pod's service account only where the kubeconfig holds nothing, and an ambient one would win.
    """
    if cluster.in_cluster:
        empty = folder / "empty-kubeconfig.yaml"
        empty.write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
        return {"KUBECONFIG": str(empty), IN_CLUSTER_VARIABLE: "true"}
    if cluster.context:
        overlay = context_overlay(cluster.context, kubeconfig, folder)
        return {"KUBECONFIG": overlay, CONTEXT_VARIABLE: cluster.context}
    return {"KUBECONFIG": kubeconfig} if kubeconfig else {}


def seen_variables(spec: StackSpec, folder: Path) -> dict[str, str]:
    """What the plan saw, for our provider's process; a file in ``folder``, as a variable holds 128 KiB at the most."""
    if not spec.seen:
        return {}
    file = folder / "seen.json"
    file.write_bytes(canonical_json(seen_json(spec)))
    return {SEEN_VARIABLE: str(file)}


def context_overlay(context: str, kubeconfig: str | None, folder: Path) -> str:
    """A KUBECONFIG value whose current context is ``context``, wherever the clusters and users are described.

    Of several files the first that names a current context wins (client-go's merging rules), so a one-line file in
    front selects it: the context's name, and the path of anybody's kubeconfig, stay out of Pulumi's inputs and state.
    """
    front = folder / "context.yaml"
    front.write_text(
        f"apiVersion: v1\nkind: Config\ncurrent-context: {_yaml_string(context)}\n", encoding="utf-8"
    )
    rest = kubeconfig or str(Path.home() / ".kube" / "config")
    return os.pathsep.join([str(front), rest])


def _yaml_string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def secret_channel(secrets: StateSecrets) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Variables that say where the secrets are, and the descriptors that the child must inherit, while it runs."""
    shared = _shared_credentials(secrets.keys) if secrets.keys else None
    if sys.platform != "linux":
        yield {"PULUMI_CONFIG_PASSPHRASE": secrets.passphrase} | _aws_variables(secrets.keys), ()
        return
    with ExitStack() as stack:
        fds = [_memory_file(stack, "passphrase", secrets.passphrase)]
        variables = {"PULUMI_CONFIG_PASSPHRASE_FILE": f"/dev/fd/{fds[0]}"}
        if shared is not None:
            fds.append(_memory_file(stack, "credentials", shared))
            variables["AWS_SHARED_CREDENTIALS_FILE"] = f"/dev/fd/{fds[1]}"
        yield variables, tuple(fds)


def _memory_file(stack: ExitStack, name: str, text: str) -> int:
    fd = os.memfd_create(f"weighbridge-{name}")
    stack.callback(os.close, fd)
    os.write(fd, text.encode())
    return fd


def _shared_credentials(keys: S3Keys) -> str:
    rows = [f"aws_access_key_id = {keys.access_key}", f"aws_secret_access_key = {keys.secret_key}"]
    if keys.session_token:
        rows.append(f"aws_session_token = {keys.session_token}")
    return "\n".join(["[default]", *rows, ""])


def _aws_variables(keys: S3Keys | None) -> dict[str, str]:
    if keys is None:
        return {}
    pair = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    return pair | ({"AWS_SESSION_TOKEN": keys.session_token} if keys.session_token else {})
