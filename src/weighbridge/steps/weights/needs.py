"""What bringing weights in and verifying them needs from the cluster's API, and what their pods mount."""

import re
from typing import Final

from weighbridge.domain import naming
from weighbridge.domain.access import EVERYBODY, Role, Rule
from weighbridge.domain.claims import claims
from weighbridge.domain.needs import MADE, Mounted, Need, unnamed
from weighbridge.environment.types import Environment, Model, Route

# -- the names of an environment's objects ---------------------------------------------------------------------------


def job_names(environment: Environment) -> tuple[str, ...]:
    """Return the names of all models' Jobs. The ConfigMaps with their orders have the same names."""
    return tuple(
        naming.job_name(environment.name, model.id, kind)
        for model in environment.models
        for kind in ("fetch", "publish", "verify")
    )


def rsync_pods(environment: Environment) -> tuple[str, ...]:
    """Return the names of all models' rsync pods. A model that is not pushed now may have been pushed earlier."""
    return tuple(naming.job_name(environment.name, model.id, "rsync") for model in environment.models)


def pushed_pods(environment: Environment) -> tuple[str, ...]:
    """The rsync pods of models with the route ``push``; their Secrets have the same names."""
    return tuple(
        naming.job_name(environment.name, model.id, "rsync")
        for model in environment.models
        if Route.PUSH in model.routes
    )


def made_secrets(environment: Environment) -> tuple[str, ...]:
    """Return the names of short-lived Secrets with a source's keys, for ``fetch``, if the file names no existing Secret."""
    return tuple(
        naming.job_name(environment.name, model.id, "credentials")
        for model in environment.models
        if Route.FETCH in model.routes and model.source.chosen.secrets.references
    )


def existing_secrets(environment: Environment) -> tuple[str, ...]:
    """Return the Secrets that the file names and others made."""
    return tuple(name for model in environment.models if (name := existing_secret(model)) is not None)


def existing_secret(model: Model) -> str | None:
    """The existing Secret with the keys of the model's source, if the file names one."""
    return model.source.chosen.secrets.existing


def _former(environment: Environment, *kinds: str) -> tuple[str, ...]:
    """Return the names of such objects in an earlier version (``naming.former_job_name``). Kept for one release."""
    return tuple(
        naming.former_job_name(environment.name, model.id, kind)
        for model in environment.models
        for kind in kinds
    )


def _former_orders(environment: Environment) -> tuple[str, ...]:
    return _former(environment, "fetch", "publish", "verify")


def _former_pods(environment: Environment) -> tuple[str, ...]:
    return _former(environment, "rsync")


def _former_secrets(environment: Environment) -> tuple[str, ...]:
    """Return the former names only of those Secrets that this version may remove."""
    made = {*made_secrets(environment), *pushed_pods(environment)}
    return tuple(
        naming.former_job_name(environment.name, model.id, kind)
        for model in environment.models
        for kind in ("credentials", "rsync")
        if naming.job_name(environment.name, model.id, kind) in made
    )


def mounted(environment: Environment) -> Mounted:
    """Return what the pods of all models mount, for every route."""
    secrets = (*made_secrets(environment), *existing_secrets(environment), *pushed_pods(environment))
    return Mounted(claims=claims(environment), secrets=secrets, config_maps=job_names(environment))


def _receipts(environment: Environment) -> tuple[str, ...]:
    return (naming.receipts_name(environment.name),)


# -- the rules -------------------------------------------------------------------------------------------------------

_WEIGHTS: Final = frozenset({Role.WEIGHTS})
_RECEIPTS: Final = re.compile(r"^weighbridge-.+-receipts$")
_ORDERS: Final = re.compile(r"^wb-.+-(fetch|publish|verify)$")
_RSYNC: Final = re.compile(r"^wb-.+-rsync$")
_CREDENTIALS: Final = re.compile(r"^wb-.+-credentials$")
_SECRETS: Final = re.compile(r"^wb-.+-(credentials|rsync)$")
_FORMER: Final = "what an interrupted run of an earlier version left, under the names of that version"

NEEDS: Final[tuple[Need, ...]] = (
    Need(
        Rule(group="", resource="configmaps", verbs=("get",), needed_by=EVERYBODY,
             why="receipts of published weights"),
        _receipts, _RECEIPTS,
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=("create", "patch", "delete"), needed_by=_WEIGHTS,
             why="receipts of published weights"),
        _receipts, _RECEIPTS,
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=MADE, needed_by=_WEIGHTS,
             why="the order that a mover works by, and the mover itself"),
        job_names, _ORDERS,
    ),
    Need(
        Rule(group="batch", resource="jobs", verbs=MADE, needed_by=_WEIGHTS,
             why="movers: fetch, publish, verify"),
        job_names, _ORDERS,
    ),
    unnamed(
        Rule(group="", resource="pods", verbs=("list",), needed_by=_WEIGHTS,
             why="follows a Job's pods, whose names Kubernetes makes"),
    ),
    unnamed(
        Rule(group="", resource="pods", subresource="log", verbs=("get",), needed_by=_WEIGHTS, optional=True,
             why="live progress; the result is read from the pod's status"),
    ),
    unnamed(
        Rule(group="", resource="events", verbs=("list",), needed_by=_WEIGHTS, optional=True,
             why="why a pod or a claim waits"),
    ),
    Need(
        Rule(group="", resource="pods", verbs=("get", "delete"), needed_by=_WEIGHTS,
             why="finds and removes the rsync pod, also one that an earlier run left"),
        rsync_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="pods", verbs=("create", "patch"), needed_by=_WEIGHTS,
             why="the rsync pod of the route push"),
        pushed_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="pods", subresource="portforward", verbs=("get", "create"), needed_by=_WEIGHTS,
             optional=True, why="the faster way of the route push; pods/exec does as well"),
        pushed_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="pods", subresource="exec", verbs=("get", "create"), needed_by=_WEIGHTS,
             optional=True, why="the other way of the route push; pods/portforward with Secrets does as well"),
        pushed_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="secrets", verbs=MADE, needed_by=_WEIGHTS,
             why="the source's keys for a fetching pod; a Secret that exists already, named in credentials, spares it"),
        made_secrets, _CREDENTIALS,
    ),
    Need(
        Rule(group="", resource="secrets", verbs=MADE, needed_by=_WEIGHTS, optional=True,
             why="the rsync daemon's password, for pods/portforward; pods/exec needs none"),
        pushed_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=("get", "delete"), needed_by=_WEIGHTS, optional=True, why=_FORMER),
        _former_orders, _ORDERS,
    ),
    Need(
        Rule(group="batch", resource="jobs", verbs=("get", "delete"), needed_by=_WEIGHTS, optional=True, why=_FORMER),
        _former_orders, _ORDERS,
    ),
    Need(
        Rule(group="", resource="pods", verbs=("get", "delete"), needed_by=_WEIGHTS, optional=True, why=_FORMER),
        _former_pods, _RSYNC,
    ),
    Need(
        Rule(group="", resource="secrets", verbs=("get", "delete"), needed_by=_WEIGHTS, optional=True, why=_FORMER),
        _former_secrets, _SECRETS,
    ),
    Need(
        Rule(group="", resource="secrets", verbs=("get",), needed_by=EVERYBODY,
             why="the source's keys, to list what it holds from here"),
        existing_secrets,
    ),
    unnamed(
        Rule(group="networking.k8s.io", resource="networkpolicies", verbs=("list",), needed_by=_WEIGHTS,
             optional=True, why="`doctor` names the policy that keeps pods from the source"),
    ),
)  # fmt: skip
