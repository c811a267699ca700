"""One context of the kubeconfig, with its cluster and user, as kubectl reads it. ``kubeconfig_files.py`` finds and
merges the files.

Libraries that read kubeconfigs skip fields or write keys to a disk (lightkube: no v1 helpers, no certificates from
them, no proxy-url, no tls-server-name, no impersonation; the official client: no proxy-url, no impersonation, keys in
/tmp, and 0.4 s to import). So this module reads the fields itself, by the table in ``kubeconfig_fields``.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from weighbridge import trust
from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.kubeconfig_fields import EXEC_VERSIONS, Honoured, Refused
from weighbridge.kubernetes.kubeconfig_files import Entry, Merged, kubeconfig_files
from weighbridge.kubernetes.kubeconfig_rules import header_flaw, is_host, is_web_url, names_a_user, passes
from weighbridge.kubernetes.kubeconfig_section import Section
from weighbridge.mover import secret_text
from weighbridge.processes.limited import without_deadline

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate with its key, in memory."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Helper:
    """A login helper (``users[].user.exec``)."""

    api_version: str
    command: str
    """A name without folders, or an absolute path."""
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    install_hint: str = ""
    cluster_info: str | None = None
    """``spec.cluster`` as canonical JSON; ``None``: not provided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One context of the kubeconfig, with its cluster and user."""

    name: str | None
    """``None``: the pod's own service account."""
    where: str
    """File and context, for messages."""
    server: str
    ca: str | None = None
    """PEM; ``None``: use the system's authorities."""
    insecure: bool = False
    server_name: str | None = None
    proxy_url: str | None = None
    compression: bool = True
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    basic: tuple[str, str] | None = field(default=None, repr=False)
    certificate: Pem | None = field(default=None, repr=False)
    user: str | None = None
    """The user to impersonate."""
    groups: tuple[str, ...] = ()
    helper: Helper | None = None
    document: Entry = field(default_factory=dict, repr=False, hash=False, compare=False)
    """A kubeconfig with only this context, paths absolute; empty for the pod's own account."""

    def refused(self, what: str, remedy: str | None = None) -> PreconditionError:
        return PreconditionError(f"{self.where}: {what}", remedy=remedy, code="cluster-config")


def service_account(environ: Mapping[str, str] | None = None, folder: Path = _ACCOUNT) -> Chosen:
    """Return the pod's own service account. Raise ``PreconditionError`` if this process does not run in a pod."""
    variables = os.environ if environ is None else environ
    host, port = variables.get("KUBERNETES_SERVICE_HOST"), variables.get("KUBERNETES_SERVICE_PORT")
    try:
        content = (folder / "ca.crt").read_bytes()
        (folder / "token").read_bytes()
        if not host or not port:
            raise FileNotFoundError("KUBERNETES_SERVICE_HOST")
    except OSError as error:
        raise PreconditionError(
            "cluster.in_cluster is true, but this process has no service account token",
            remedy="run it in a pod with automountServiceAccountToken, or name a context instead",
            code="cluster-config",
        ) from error
    ca = trust.pem_blocks(content)
    if not ca:
        raise PreconditionError(
            f"{folder}/ca.crt holds no certificate in PEM, so the cluster cannot be told from another",
            remedy="its kubelet writes it: ask the cluster's administrators, or name a context instead",
            code="cluster-config",
        )
    near = f"[{host}]" if ":" in host else host
    where = "this pod's service account"
    return Chosen(name=None, where=where, server=f"https://{near}:{port}", ca=ca, token_file=folder / "token")


def kubeconfig(context: str | None, environ: Mapping[str, str] | None = None) -> Chosen:
    """Return ``context`` (or the current one) of the files that ``KUBECONFIG`` or ``~/.kube/config`` names."""
    files = kubeconfig_files(environ)
    where = ", ".join(str(file) for file in files)
    merged = Merged(files)
    wanted = context or merged.current
    if not wanted or wanted not in merged.entries["contexts"]:
        known = sorted(merged.entries["contexts"])
        if not any(file.exists() for file in files):
            what = f"there is no kubeconfig: {where} does not exist"
        elif wanted:
            what = f"there is no context {wanted!r} in {where}"
        else:
            what = f"no current context is set in {where}"
        nothing = 'log in (`oc login`, or your provider\'s command) or set KUBECONFIG; for the sandbox: eval "$(weighbridge-sandbox env)"'
        remedy = f"known contexts: {', '.join(known)}" if known else nothing
        raise PreconditionError(what, remedy=remedy, code="cluster-config")
    return _chosen(wanted, merged)


# -- one context ---------------------------------------------------------------------------------------------------------


def _chosen(name: str, merged: Merged) -> Chosen:
    file, values = merged.entries["contexts"][name]
    context = Section(file, name, "context", values)
    cluster_name, user_name = context.text("cluster"), context.text("user")
    known = sorted(merged.entries["clusters"])
    if cluster_name is None or cluster_name not in merged.entries["clusters"]:
        raise context.refused(
            "cluster",
            f"names {cluster_name!r}, a cluster that is not there" if cluster_name else "is missing",
            f"known clusters: {', '.join(known)}" if known else None,
        )
    if user_name is not None and user_name not in merged.entries["users"]:
        known = sorted(merged.entries["users"])
        raise context.refused(
            "user",
            f"names {user_name!r}, a user that is not there",
            f"known users: {', '.join(known)}" if known else None,
        )
    cluster_file, cluster_values = merged.entries["clusters"][cluster_name]
    cluster = Section(cluster_file, name, "cluster", cluster_values)
    user_file, user_values = merged.entries["users"][user_name] if user_name else (file, {})
    user = Section(user_file, name, "user", user_values)
    return _read(name, cluster, user, (cluster_name, user_name))


def _read(name: str, cluster: Section, user: Section, names: tuple[str, str | None]) -> Chosen:
    server = cluster.text("server")
    if server is not None and names_a_user(server):
        raise cluster.refused(
            "server", "has a user or a password in it", "write it without, and the login under users"
        )
    if server is None or not is_web_url(server):
        raise cluster.refused("server", "is missing" if server is None else "is no http(s) URL")
    insecure, ca = cluster.flag("insecure-skip-tls-verify"), cluster.pem("certificate-authority")
    if insecure and ca is not None:
        raise cluster.refused(
            "insecure-skip-tls-verify", "contradicts certificate-authority", "remove one of them"
        )
    proxy = cluster.text("proxy-url")
    if proxy is not None and not is_web_url(proxy):
        raise cluster.refused("proxy-url", "is no http(s) proxy", "name an HTTP proxy: http://host:port")
    _extensions(cluster)
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    if (certificate is None) is not (key is None):
        lacking = "client-certificate" if certificate is None else "client-key"
        raise user.refused(lacking, "is missing, and its other half is there")
    token, token_file = user.sent("token"), user.text("tokenFile")
    if token_file is not None:
        user.read("tokenFile", "log in again")
    username, password = _basic(user)
    if username is not None and (token or token_file):
        raise user.refused(
            "username", "stands beside a token; only one login is allowed", "remove one of them"
        )
    helper = _helper(user, cluster, ca) if user.values.get("exec") else None
    somebody, groups = _impersonated(user)
    server_name = cluster.text("tls-server-name")
    if server_name is not None and not (server_name.isascii() and is_host(server_name)):
        raise cluster.refused(
            "tls-server-name", "is no name of a server", "write one name that its certificate has"
        )
    return Chosen(
        name=name,
        where=cluster.where,
        server=server,
        ca=ca,
        insecure=insecure,
        server_name=server_name,
        proxy_url=proxy,
        compression=not cluster.flag("disable-compression"),
        token=None if token_file else token,
        token_file=Path(token_file) if token_file else None,
        basic=(username, password or "") if username else None,
        certificate=Pem(certificate, key) if certificate and key else None,
        user=somebody,
        groups=groups,
        helper=None if token or token_file or username else helper,
        document=_document(name, (names[0], _with_ca(cluster.values, ca)), (names[1], user.values)),
    )


def _basic(user: Section) -> tuple[str | None, str | None]:
    """Return user and password (RFC 7617, 2). Ansible's client writes them in Latin 1, others in UTF-8."""
    username, password = user.text("username"), user.text("password")
    for key, text in (("username", username), ("password", password)):
        flaw = secret_text.flaw(text or "") or (None if (text or "").isascii() else "more than ASCII")
        if key == "username" and ":" in (text or ""):
            flaw = "a colon"
        if flaw:
            raise user.refused(key, f"holds {flaw}, which not every program sends alike", "log in by a token")
    return username, password


def _impersonated(user: Section) -> tuple[str | None, tuple[str, ...]]:
    somebody, groups = user.text("as"), user.texts("as-groups")
    for key, text in [("as", somebody or ""), *(("as-groups", group) for group in groups)]:
        if flaw := header_flaw(text):
            raise user.refused(
                key, f"holds {flaw}, which no header carries", "write the name as the cluster has it"
            )
    if any(not group or "," in group for group in groups):
        raise user.refused(
            "as-groups", "holds an empty group or one with a comma, which Ansible's client takes for several",
            "leave it out",
        )  # fmt: skip
    if groups and somebody is None:
        raise user.refused("as-groups", "stands without as", "name the user to impersonate, or remove it")
    return somebody, groups


def _helper(user: Section, cluster: Section, ca: str | None) -> Helper:
    values = user.values["exec"]
    if not isinstance(values, dict):
        raise user.refused("exec", "is no mapping")
    section = Section(user.file, user.context, "exec", values)
    version, command = section.text("apiVersion"), section.text("command")
    fate = EXEC_VERSIONS.get(version or "")
    if not isinstance(fate, Honoured):
        known = " or ".join(text for text, each in EXEC_VERSIONS.items() if isinstance(each, Honoured))
        why = f": {fate.why}" if isinstance(fate, Refused) else ""
        raise section.refused(
            "apiVersion", f"{version!r} is not supported{why}",
            fate.remedy if isinstance(fate, Refused) else f"write {known}, as the helper speaks it",
        )  # fmt: skip
    if command is None:
        raise section.refused("command", "is missing")
    mode = section.text("interactiveMode")
    if mode not in (None, "Never", "IfAvailable"):
        always = "Always: the helper would need a terminal, and gets none here"
        raise section.refused(
            "interactiveMode", f"is {always}" if mode == "Always" else f"is {mode!r}",
            "write IfAvailable or Never, and log in first by a command of kubectl's",
        )  # fmt: skip
    if mode is None and str(version).endswith("/v1"):
        raise section.refused(
            "interactiveMode", "is missing, which v1 asks for", "write IfAvailable or Never"
        )
    env = values.get("env") or []
    if not isinstance(env, list) or not all(
        isinstance(row, dict) and isinstance(row.get("name"), str) and isinstance(row.get("value", ""), str)
        for row in env
    ):
        raise section.refused("env", "is no list of name and value")
    pairs = tuple((str(row["name"]), str(row.get("value", ""))) for row in env)
    if any(not name or "=" in name or not passes(name + value) for name, value in pairs):
        raise section.refused("env", "has a name that is empty or has = in it, or a value with a NUL",
                              "write name: NAME and value: TEXT")  # fmt: skip
    command, *args = without_deadline([command, *section.texts("args")])
    return Helper(
        api_version=str(version),
        command=command,
        args=tuple(args),
        env=pairs,
        install_hint=section.text("installHint") or "",
        cluster_info=_cluster_info(cluster, ca) if section.flag("provideClusterInfo") else None,
    )


def _cluster_info(cluster: Section, ca: str | None) -> str:
    """Return ``spec.cluster`` of ``ExecCredential`` (client.authentication.k8s.io/v1, "Cluster")."""
    import json  # noqa: PLC0415 - seldom needed

    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")
    told = {name: cluster.values[name] for name in names if cluster.values.get(name)}
    if ca is not None:
        told["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
    for extension in _extensions(cluster):
        if extension.get("name") == "client.authentication.k8s.io/exec":
            told["config"] = extension.get("extension")
    try:
        return json.dumps(told, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise cluster.refused("extensions", "holds what JSON cannot say: a date, or itself") from error


def _extensions(cluster: Section) -> Sequence[Entry]:
    found = cluster.values.get("extensions") or []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise cluster.refused("extensions", "is no list of name and extension")
    return found


def _with_ca(values: Entry, ca: str | None) -> Entry:
    """Put the authority in as data, only its PEM blocks: Ansible's client reads the file as UTF-8, comments included."""
    if ca is None:
        return values
    others = {key: value for key, value in values.items() if key != "certificate-authority"}
    return {**others, "certificate-authority-data": base64.b64encode(ca.encode()).decode()}


def _document(name: str, cluster: tuple[str, Entry], user: tuple[str | None, Entry]) -> Entry:
    values = dict(user[1])
    if values.get("tokenFile"):
        values.pop("token", None)  # otherwise Ansible's client would take the token
    if any(values.get(name) for name in ("token", "tokenFile", "username")):
        values.pop("exec", None)  # and prefer a helper's credential to both
    context: Entry = {"cluster": cluster[0]} | ({"user": user[0]} if user[0] is not None else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": context}],
        "clusters": [{"name": cluster[0], "cluster": dict(cluster[1])}],
        "users": [{"name": user[0], "user": values}] if user[0] is not None else [],
    }
