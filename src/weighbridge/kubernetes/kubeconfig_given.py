"""The kubeconfig for child processes: one context, every path absolute, in a private folder in memory.

So Pulumi, Ansible and kubectl all read the same file, whatever ``KUBECONFIG`` names. A login helper that they start
gets a deadline, which they do not support, and the variables that a shell would give it, which they themselves do not
get.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from weighbridge import trust
from weighbridge.errors import Place, PreconditionError
from weighbridge.kubernetes.connection import proxy_to
from weighbridge.kubernetes.kubeconfig import Chosen, Helper, kubeconfig
from weighbridge.kubernetes.login import HELPER_SECONDS
from weighbridge.processes.limited import with_deadline
from weighbridge.processes.variables import Child, Outside, only_for_helpers, variables_for


def write_kubeconfig(  # noqa: PLR0913 - the last is for tests
    chosen: Chosen,
    folder: Path,
    given: Collection[str],
    outside: Outside,
    environ: Mapping[str, str] | None = None,
    *,
    seconds: float = HELPER_SECONDS,
) -> Path:
    """Write a file (0600) in ``folder``. ``given``: names of the program's variables; ``seconds``: for a login helper."""
    document = dict(chosen.document)
    if chosen.helper is not None:
        further = only_for_helpers(given, outside, environ)
        document["users"] = [_with_helper(row, chosen.helper, further, seconds) for row in document["users"]]
    file = folder / "kubeconfig.yaml"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        yaml.safe_dump(document, stream, sort_keys=False)
    return file


def write_trust(folder: Path, outside: Outside, environ: Mapping[str, str] | None = None) -> str | None:
    """Write the authorities that children trust to a file in ``folder``. Return ``None`` if the system's are enough."""
    return None if outside.ca_bundle is None else _write_bundle(folder, outside, environ)


def playbook_surroundings(
    context: str | None, outside: Outside, folder: Path, *, in_cluster: bool
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return (the environment of ansible-playbook, variables of the role) with which it reaches the intended cluster
    and no other.

    The Kubernetes client of Ansible's modules reads neither ``NO_PROXY`` nor ``proxy-url`` nor ``as``. If a cluster
    names no authority, it trusts Mozilla's, whatever the system or ``SSL_CERT_FILE`` says. So these variables tell
    it.
    """
    trusted = write_trust(folder, outside)
    variables = variables_for(Child.ANSIBLE, outside, trusted=trusted)
    if in_cluster:
        variables.pop("KUBECONFIG", None)
        return variables, {}
    chosen = kubeconfig(context)
    file = str(write_kubeconfig(chosen, folder, variables.keys(), outside))
    variables |= {"KUBECONFIG": file, "K8S_AUTH_KUBECONFIG": file}
    if chosen.ca is None and not chosen.insecure:
        variables["K8S_AUTH_SSL_CA_CERT"] = trusted or _write_bundle(folder, outside, None)
    if chosen.user is not None:
        variables["K8S_AUTH_IMPERSONATE_USER"] = chosen.user
    if chosen.groups:
        variables["K8S_AUTH_IMPERSONATE_GROUPS"] = ",".join(chosen.groups)
    return variables, {"weights_api_proxy": proxy_to(chosen, outside.proxy) or ""}


def _write_bundle(folder: Path, outside: Outside, environ: Mapping[str, str] | None) -> str:
    file = folder / "trust.pem"
    try:
        file.write_text(trust.bundle_text(outside.ca_bundle, environ), encoding="ascii")
    except OSError as error:
        raise PreconditionError(
            f"the CA bundle {outside.ca_bundle} cannot be read: {error.strerror}",
            remedy="name a PEM file; relative paths start at the environment file's folder",
            place=Place(key="trust.ca_bundle"),
            code="trust-missing",
        ) from error
    return str(file)


def _with_helper(
    user: dict[str, Any], helper: Helper, further: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    """``further``: default variables; the kubeconfig's own variables win."""
    command, *args = with_deadline([helper.command, *helper.args], seconds, helper.install_hint)
    env = [{"name": name, "value": value} for name, value in {**further, **dict(helper.env)}.items()]
    return {
        **user,
        "user": {
            **user["user"],
            "exec": {**user["user"]["exec"], "command": command, "args": args, "env": env},
        },
    }
