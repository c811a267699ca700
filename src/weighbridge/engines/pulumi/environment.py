"""The environment of the Pulumi CLI, and a way to pass it secrets without their values in the environment.

Secrets are passed as memory files (``memfd_create``): the environment names only ``/dev/fd/N``. So neither the file
system nor ``/proc/PID/environ`` of the CLI or of a plugin holds a value, and no kind of death leaves anything behind.
Without memory files (not Linux), the values go into the environment of the child.
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
from weighbridge.kubernetes.kubeconfig import kubeconfig
from weighbridge.kubernetes.kubeconfig_given import write_kubeconfig
from weighbridge.memory import in_memory
from weighbridge.processes.variables import Child, Outside, variables_for

_OURS = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # fetch nothing at run time
    "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",  # the salt comes from the state, not from a checkout
    "PULUMI_DIY_BACKEND_NO_LEGACY_WARNING": "true",
    "PULUMI_SUPPRESS_NEO_LINK": "true",
    "NO_COLOR": "1",
}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every call of the CLI needs; the same for all stacks of one environment."""

    home: Path
    """PULUMI_HOME: a folder of weighbridge."""
    search: tuple[Path, ...]
    """Folders to search before PATH."""
    outside: Outside = field(default_factory=Outside)
    """Proxy and trust of the environment file, and the variables that hold its secrets."""
    trusted: str | None = None
    """A file of the trusted authorities, if they are more than the system's."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Variables that reach the intended cluster."""


@dataclass(frozen=True, kw_only=True)
class StateSecrets:
    """The secrets that open the state. Never part of a representation."""

    passphrase: str = field(repr=False)
    keys: S3Keys | None = field(default=None, repr=False)


def child_environment(
    surroundings: Surroundings, ambient: Mapping[str, str], *, backend: str, own_identity: bool
) -> dict[str, str]:
    """Return the CLI's environment without the secrets, by the table of ``processes/variables.py``. ``own_identity``:
    the state's S3 keys are given, so drop ambient ones.
    """
    kept = variables_for(
        Child.PULUMI, surroundings.outside, ambient, own_identity=own_identity, trusted=surroundings.trusted
    )
    path = os.pathsep.join([*map(str, surroundings.search), kept.get("PATH", os.defpath)])
    return (
        kept
        | dict(surroundings.extra)
        | _OURS
        | {"PATH": path, "PULUMI_HOME": str(surroundings.home), "PULUMI_BACKEND_URL": backend}
    )


def cluster_variables(
    cluster: ClusterIdentity,
    around: Surroundings,
    ambient: Mapping[str, str],
    folder: Path,
    *,
    own_identity: bool = False,
) -> dict[str, str]:
    """Return the variables with which the child reaches the intended cluster and no other. Create files in
    ``folder``. Raise ``PreconditionError`` if the kubeconfig that ``ambient`` names does not lead there.

    With ``in_cluster`` the kubeconfig is empty: client-go uses the pod's service account only then, and an ambient
    kubeconfig would win. The context's name and any kubeconfig's path stay out of Pulumi's inputs and state.
    """
    if cluster.in_cluster:
        empty = folder / "empty-kubeconfig.yaml"
        empty.write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
        return {"KUBECONFIG": str(empty), IN_CLUSTER_VARIABLE: "true"}
    chosen = kubeconfig(cluster.context, ambient)
    given = child_environment(around, ambient, backend="", own_identity=own_identity)
    file = write_kubeconfig(chosen, folder, given.keys(), around.outside, ambient)
    return {"KUBECONFIG": str(file)} | ({CONTEXT_VARIABLE: cluster.context} if cluster.context else {})


def seen_variables(spec: StackSpec, folder: Path) -> dict[str, str]:
    """Return what the plan saw, for our provider's process. It is a file in ``folder``: a variable holds at most 128 KiB."""
    if not spec.seen:
        return {}
    file = folder / "seen.json"
    file.write_bytes(canonical_json(seen_json(spec)))
    return {SEEN_VARIABLE: str(file)}


@contextmanager
def secret_channel(secrets: StateSecrets) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Yield the variables that say where the secrets are, and the descriptors that the child must inherit."""
    shared = _shared_credentials(secrets.keys) if secrets.keys else None
    if sys.platform != "linux":
        yield {"PULUMI_CONFIG_PASSPHRASE": secrets.passphrase} | _aws_variables(secrets.keys), ()
        return
    with ExitStack() as stack:
        fds = [_opened(stack, "passphrase", secrets.passphrase)]
        variables = {"PULUMI_CONFIG_PASSPHRASE_FILE": f"/dev/fd/{fds[0]}"}
        if shared is not None:
            fds.append(_opened(stack, "credentials", shared))
            variables["AWS_SHARED_CREDENTIALS_FILE"] = f"/dev/fd/{fds[1]}"
        yield variables, tuple(fds)


def _opened(stack: ExitStack, name: str, text: str) -> int:
    descriptor = in_memory(name, text)
    stack.callback(os.close, descriptor)
    return descriptor


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
