"""What each child process gets of our environment: one table, for every program that is started.

Programs get little: what they need to run, to find the network and to be told apart. A login helper of the kubeconfig gets what it
would get under kubectl, less our secrets, because only its author knows what it reads; where such a helper is started by Pulumi,
Ansible or kubectl, what that program may not see travels in the kubeconfig that is made for it (``kubernetes/kubeconfig_given.py``).
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from weighbridge.environment.home import at_home
from weighbridge.mover.proxies import ProxySettings, proxy_variables


class Child(Enum):
    """Who is started."""

    HELPER = "login helper"
    PULUMI = "Pulumi, its plugins and our provider"
    ANSIBLE = "ansible-playbook"
    KUBECTL = "kubectl"
    RSYNC = "rsync"
    TOOL = "a program that is only asked for its version"


class Verdict(Enum):
    ALLOW = "allow"
    WITHHOLD = "withhold"
    SET = "set"
    """By us, whatever it is outside."""


USUAL_KUBECONFIG: Final = "~/.kube/config"

_ALL: Final = frozenset(Child)
_DIALS: Final = _ALL - {Child.RSYNC, Child.TOOL}
_PROGRAMS: Final = _DIALS - {Child.HELPER}


@dataclass(frozen=True, slots=True)
class Rule:
    names: tuple[str, ...]
    """Variables, or patterns with ``*``."""
    verdict: Verdict
    whom: frozenset[Child]
    """Whom this rule is about; for others the next one decides."""
    why: str

    def about(self, child: Child, name: str) -> bool:
        return child in self.whom and any(fnmatchcase(name, pattern) for pattern in self.names)


RULES: Final = (
    Rule(("PULUMI_*",), Verdict.WITHHOLD, _ALL, "backend, stack and plugins are the environment file's, not the shell's"),
    Rule(("WEIGHBRIDGE_*",), Verdict.WITHHOLD, _ALL, "ours; what a child is to know of it is set"),
    Rule(
        ("ANSIBLE_*", "RUNNER_*", "AWX_*"), Verdict.WITHHOLD, _ALL,
        "callbacks, strategies and vaults of other playbooks would change ours",
    ),
    Rule(("K8S_AUTH_*",), Verdict.WITHHOLD, _ALL, "kubernetes.core would take another cluster or login from it"),
    Rule(("RSYNC_*",), Verdict.WITHHOLD, _ALL, "options and passwords of other transfers"),
    Rule(("KUBERNETES_EXEC_INFO",), Verdict.WITHHOLD, _ALL, "of a helper that started us"),
    Rule(
        ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"), Verdict.SET, _DIALS,
        "of the environment file, else ours, written so that every program reads the same (mover/proxies.py)",
    ),
    Rule(
        ("SSL_CERT_FILE",), Verdict.SET, _DIALS,
        "with trust.ca_bundle: the system's authorities and those beside them; else as it is",
    ),
    Rule(("SSL_CERT_DIR",), Verdict.ALLOW, _DIALS, "where the system's authorities are"),
    Rule(("KUBECONFIG",), Verdict.SET, _DIALS, "absolute; programs get a kubeconfig of the one context"),
    Rule(
        ("LC_*", "LANG", "LANGUAGE"), Verdict.SET, _ALL - {Child.HELPER},
        "LC_ALL=C.UTF-8 (C for rsync and kubectl, whose words are read): a locale that is absent stops Ansible",
    ),
    Rule(
        ("AWS_ENDPOINT_URL*", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE",
         "AWS_S3_*", "AWS_CA_BUNDLE", "AWS_SDK_*", "AWS_REQUEST_*", "AWS_RESPONSE_*"), Verdict.WITHHOLD, _PROGRAMS,
        "where and how the state's bucket is reached stands in state.backend and trust",
    ),
    Rule(
        ("AWS_*",), Verdict.ALLOW, frozenset({Child.PULUMI}),
        "AWS's usual chain opens the state where state.credentials is not given; otherwise withheld, or it would beat it",
    ),
    Rule(
        ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH"), Verdict.ALLOW, _ALL,
        "to run at all",
    ),
    Rule(
        ("XDG_*", "KUBERNETES_SERVICE_*", "RES_OPTIONS", "HOSTALIASES", "LOCALDOMAIN", "GODEBUG"), Verdict.ALLOW, _DIALS,
        "folders, the cluster around this pod, name resolution",
    ),
    Rule(("PYTHON*", "GRPC_*", "COVERAGE_*"), Verdict.ALLOW, frozenset({Child.PULUMI}), "our provider is a Python program"),
    Rule(("*",), Verdict.ALLOW, frozenset({Child.HELPER}), "only its author knows what a login helper reads"),
    Rule(("*",), Verdict.WITHHOLD, _ALL, "whatever a program does not need, it does not get"),
)  # fmt: skip
"""The first rule that is about a child and a variable decides. Names of the environment file's secrets (``{env: NAME}``) are
withheld from every child before any rule.
"""

_AWS_IDENTITY: Final = ("AWS_*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What is around every child of one environment."""

    withheld: frozenset[str] = frozenset()
    """Variables that hold secrets of the environment file."""
    proxy: ProxySettings = field(default_factory=ProxySettings)
    ca_bundle: Path | None = None


def verdict(child: Child, name: str) -> Verdict:
    """What the table says of one variable."""
    return next(rule.verdict for rule in RULES if rule.about(child, name))


def variables_for(
    child: Child,
    outside: Outside | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    own_identity: bool = False,
    trusted: str | None = None,
) -> dict[str, str]:
    """The environment of a child, less what its caller sets besides.

    ``own_identity``: the state's keys are given, so no ambient identity of Amazon's may come before them.
    ``trusted``: a file of the system's authorities and those of ``outside.ca_bundle``, for programs that dial.
    """
    around = outside or Outside()
    ambient = os.environ if environ is None else environ
    kept = {
        name: value
        for name, value in ambient.items()
        if verdict(child, name) is Verdict.ALLOW
        and name not in around.withheld
        and not (own_identity and any(fnmatchcase(name, pattern) for pattern in _AWS_IDENTITY))
    }
    if child in _DIALS:
        kept |= proxy_variables(around.proxy, ambient)
        if file := trusted or ambient.get("SSL_CERT_FILE"):
            kept["SSL_CERT_FILE"] = file
        if named := ambient.get("KUBECONFIG"):
            kept["KUBECONFIG"] = absolute_kubeconfig(named)
    if child is not Child.HELPER:
        kept["LC_ALL"] = "C" if child in {Child.RSYNC, Child.KUBECTL} else "C.UTF-8"
    if own_identity:  # nor that of a file: a default profile with a role comes before keys
        kept |= {"AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    return kept


def only_for_helpers(
    given: Collection[str], outside: Outside | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a login helper gets and a program that starts it has not got (``given``)."""
    whole = variables_for(Child.HELPER, outside, environ)
    return {name: value for name, value in whole.items() if name not in given}


def absolute_kubeconfig(value: str) -> str:
    """``KUBECONFIG`` for a child that works in another folder."""
    return os.pathsep.join(map(str, kubeconfig_paths(value)))


def kubeconfig_paths(value: str) -> tuple[Path, ...]:
    """The files of ``KUBECONFIG``, absolute; empty entries are left out, as kubectl does."""
    return tuple(at_home(part).absolute() for part in value.split(os.pathsep) if part)
