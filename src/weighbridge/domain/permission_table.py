"""The table of every permission that Weighbridge uses on a cluster, each with what it is for. ``permissions.py`` reads it.

How a rule limits names (Kubernetes, "Using RBAC Authorization", "Referring to resources"): ``list``, and ``create`` by
POST, know no name when they are authorized. ``create`` by server-side apply does, because the name stands in the
path; so whatever we create that way is limited by name as well.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from weighbridge.core.plan import claim_of
from weighbridge.domain import naming
from weighbridge.domain.access import EVERYBODY, WRITERS, Role, Rule
from weighbridge.environment.types import Environment, Model, Route

IFM_GROUP: Final = "watsonxaiifm.cpd.ibm.com"

# -- the names of an environment's objects ---------------------------------------------------------------------------

Names: TypeAlias = Callable[[Environment], Iterable[str]]
ANY: Final = ("*",)
"""The rule applies, and no name can be given."""


def _any(_: Environment) -> Iterable[str]:
    return ANY


def claims(environment: Environment) -> tuple[str, ...]:
    """Every claim that weights lie on."""
    return tuple(claim_of(environment, model) for model in environment.models)


def own_claims(environment: Environment) -> tuple[str, ...]:
    """Those that Weighbridge makes."""
    return tuple(
        claim_of(environment, model) for model in environment.models if model.storage.existing_pvc is None
    )


def job_names(environment: Environment) -> tuple[str, ...]:
    """Jobs of every model, and the ConfigMaps with their orders."""
    return tuple(
        naming.job_name(environment.name, model.id, kind)
        for model in environment.models
        for kind in ("fetch", "publish", "verify")
    )


def rsync_pods(environment: Environment) -> tuple[str, ...]:
    """Of every model: also one that is not pushed now may have been once."""
    return tuple(naming.job_name(environment.name, model.id, "rsync") for model in environment.models)


def pushed_pods(environment: Environment) -> tuple[str, ...]:
    """The rsync pods of models with the route ``push``; their Secrets have the same names."""
    return tuple(
        naming.job_name(environment.name, model.id, "rsync")
        for model in environment.models
        if Route.PUSH in model.routes
    )


def made_secrets(environment: Environment) -> tuple[str, ...]:
    """The short-lived Secrets with a source's keys: for ``fetch``, where the file names no existing one."""
    return tuple(
        naming.job_name(environment.name, model.id, "credentials")
        for model in environment.models
        if Route.FETCH in model.routes and model.source.chosen.secrets.references
    )


def existing_secrets(environment: Environment) -> tuple[str, ...]:
    """Secrets that somebody else made and the file names."""
    return tuple(name for model in environment.models if (name := existing_secret(model)) is not None)


def existing_secret(model: Model) -> str | None:
    """The existing Secret with the keys of the model's source, if the file names one."""
    return model.source.chosen.secrets.existing


def _storage_classes(environment: Environment) -> Iterable[str]:
    return (name for model in environment.models if (name := model.storage.storage_class) is not None)


# -- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Need:
    rule: Rule
    names: Names
    """None of them: this environment does not need the rule."""
    pattern: re.Pattern[str] = re.compile("")
    """What such a name looks like in any environment."""

    @property
    def named(self) -> bool:
        """Whether the rule is limited by name, in every environment."""
        return self.names not in {_any, _any_class, _any_claim}


def _any_class(environment: Environment) -> Iterable[str]:
    return ANY if any(_storage_classes(environment)) else ()


def _any_claim(environment: Environment) -> Iterable[str]:
    return ANY if own_claims(environment) else ()


_LEASE: Final = re.compile(r"^weighbridge-.")
_RECORDS: Final = re.compile(r"^weighbridge-.+-(receipts|intents)$")
_RECEIPTS: Final = re.compile(r"^weighbridge-.+-receipts$")
_INTENTS: Final = re.compile(r"^weighbridge-.+-intents$")
_ORDERS: Final = re.compile(r"^wb-.+-(fetch|publish|verify)$")
_RSYNC: Final = re.compile(r"^wb-.+-rsync$")
_CREDENTIALS: Final = re.compile(r"^wb-.+-credentials$")
_MADE: Final = ("get", "create", "patch", "delete")
"""What an object takes that we make by server-side apply and remove again."""

NEEDS: Final = (
    Need(
        Rule(group="", resource="namespaces", verbs=("get",), namespaced=False, needed_by=EVERYBODY,
             why="the UID of kube-system tells this cluster from every other"),
        lambda _: ("kube-system",), re.compile("^kube-system$"),
    ),
    Need(
        Rule(group="", resource="namespaces", verbs=("get",), namespaced=False, needed_by=EVERYBODY, optional=True,
             why="says at once that the operands namespace is absent or going away"),
        lambda environment: (environment.cluster.namespace,),
    ),
    Need(
        Rule(group="storage.k8s.io", resource="storageclasses", verbs=("get",), namespaced=False,
             needed_by=EVERYBODY, optional=True, why="says at once that a storage class is absent"),
        _storage_classes,
    ),
    Need(
        Rule(group="storage.k8s.io", resource="storageclasses", verbs=("list",), namespaced=False,
             needed_by=EVERYBODY, optional=True, why="names the storage classes there are, where one is absent"),
        _any_class,
    ),
    Need(
        Rule(group=IFM_GROUP, resource="watsonxaiifm", verbs=("get",), needed_by=EVERYBODY,
             why="which models are registered, and whether the operator has taken them in"),
        lambda environment: (environment.cluster.custom_resource,),
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=("get",), needed_by=EVERYBODY,
             why="receipts of published weights, and the record of what was registered"),
        lambda environment: (naming.receipts_name(environment.name), naming.intents_name(environment.name)),
        _RECORDS,
    ),
    Need(
        Rule(group="", resource="persistentvolumeclaims", verbs=("get",), needed_by=EVERYBODY,
             why="whether the volumes are there, and which they are"),
        claims,
    ),
    Need(
        Rule(group="coordination.k8s.io", resource="leases", verbs=("get",), needed_by=EVERYBODY,
             why="whether a run of this environment is under way, and whose"),
        lambda environment: (f"weighbridge-{environment.name}",), _LEASE,
    ),
    Need(
        Rule(group="coordination.k8s.io", resource="leases", verbs=("create",), needed_by=WRITERS,
             why="one run at a time; a POST, so no name can be given"),
        _any,
    ),
    Need(
        Rule(group="coordination.k8s.io", resource="leases", verbs=("update", "patch", "delete"), needed_by=WRITERS,
             why="one run at a time: renewed while it runs, removed at its end"),
        lambda environment: (f"weighbridge-{environment.name}",), _LEASE,
    ),
    Need(
        Rule(group="", resource="persistentvolumeclaims", verbs=("create", "patch"),
             needed_by=frozenset({Role.WEIGHTS}), why="the volumes that Weighbridge makes"),
        own_claims,
    ),
    Need(
        Rule(group="", resource="persistentvolumeclaims", verbs=("delete",), needed_by=frozenset({Role.WEIGHTS}),
             optional=True, why="`destroy --weights`, and nothing else"),
        own_claims,
    ),
    Need(
        Rule(group="", resource="persistentvolumeclaims", verbs=("list",), needed_by=frozenset({Role.WEIGHTS}),
             optional=True, why="`destroy --weights` sees that a claim is gone; without it Pulumi waits ten minutes for each"),
        _any_claim,
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=("create", "patch", "delete"),
             needed_by=frozenset({Role.WEIGHTS}), why="receipts of published weights"),
        lambda environment: (naming.receipts_name(environment.name),), _RECEIPTS,
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=_MADE, needed_by=frozenset({Role.WEIGHTS}),
             why="the order that a mover works by, and the mover itself"),
        job_names, _ORDERS,
    ),
    Need(
        Rule(group="batch", resource="jobs", verbs=_MADE, needed_by=frozenset({Role.WEIGHTS}),
             why="movers: fetch, publish, verify"),
        job_names, _ORDERS,
    ),
    Need(
        Rule(group="", resource="pods", verbs=("list",), needed_by=frozenset({Role.WEIGHTS}),
             why="follows a Job's pods, whose names Kubernetes makes"),
        _any,
    ),
    Need(
        Rule(group="", resource="pods", subresource="log", verbs=("get",), needed_by=frozenset({Role.WEIGHTS}),
             optional=True, why="live progress; the result is read from the pod's status"),
        _any,
    ),
    Need(
        Rule(group="", resource="events", verbs=("list",), needed_by=frozenset({Role.WEIGHTS}), optional=True,
             why="why a pod or a claim waits"),
        _any,
    ),
    Need(
        Rule(group="", resource="pods", verbs=("get", "delete"), needed_by=frozenset({Role.WEIGHTS}),
             why="finds and removes the rsync pod, also one that an earlier run left"),
        rsync_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="pods", verbs=("create", "patch"), needed_by=frozenset({Role.WEIGHTS}),
             why="the rsync pod of the route push"),
        pushed_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="pods", subresource="portforward", verbs=("get", "create"),
             needed_by=frozenset({Role.WEIGHTS}), optional=True,
             why="the faster way of the route push; pods/exec does as well"),
        pushed_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="pods", subresource="exec", verbs=("get", "create"),
             needed_by=frozenset({Role.WEIGHTS}), optional=True,
             why="the other way of the route push; pods/portforward with Secrets does as well"),
        pushed_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="secrets", verbs=_MADE, needed_by=frozenset({Role.WEIGHTS}),
             why="the source's keys for a fetching pod; a Secret that exists already, named in credentials, spares it"),
        made_secrets, _CREDENTIALS,
    ),
    Need(
        Rule(group="", resource="secrets", verbs=_MADE, needed_by=frozenset({Role.WEIGHTS}), optional=True,
             why="the rsync daemon's password, for pods/portforward; pods/exec needs none"),
        pushed_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="secrets", verbs=("get",), needed_by=EVERYBODY,
             why="the source's keys, to list what it holds from here"),
        existing_secrets,
    ),
    Need(
        Rule(group=IFM_GROUP, resource="watsonxaiifm", verbs=("patch",), needed_by=frozenset({Role.SWITCH}),
             why="our entries of the list, by JSON patch"),
        lambda environment: (environment.cluster.custom_resource,),
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=("create",), needed_by=frozenset({Role.SWITCH}),
             why="the record of what was registered; a POST, so no name can be given"),
        _any,
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=("patch", "delete"), needed_by=frozenset({Role.SWITCH}),
             why="the record of what was registered"),
        lambda environment: (naming.intents_name(environment.name),), _INTENTS,
    ),
    Need(
        Rule(group="", resource="resourcequotas", verbs=("list",), needed_by=frozenset({Role.WEIGHTS}), optional=True,
             why="`doctor` says beforehand whether claims and pods fit"),
        _any,
    ),
    Need(
        Rule(group="", resource="limitranges", verbs=("list",), needed_by=frozenset({Role.WEIGHTS}), optional=True,
             why="`doctor` says beforehand whether claims and pods are within it"),
        _any,
    ),
    Need(
        Rule(group="networking.k8s.io", resource="networkpolicies", verbs=("list",), needed_by=frozenset({Role.WEIGHTS}),
             optional=True, why="`doctor` names the policy that keeps pods from the source"),
        _any,
    ),
    Need(
        Rule(group="storage.k8s.io", resource="csidrivers", verbs=("get",), namespaced=False, needed_by=EVERYBODY,
             optional=True, why="`doctor` says whether volumes are given to the pods' group"),
        _any_class,
    ),
)  # fmt: skip
