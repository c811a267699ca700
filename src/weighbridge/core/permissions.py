"""What every run needs from the cluster's API, whatever its steps are."""

import re
from typing import Final

from weighbridge.domain.access import EVERYBODY, WRITERS, Rule
from weighbridge.domain.needs import Need, unnamed
from weighbridge.environment.types import Environment


def _lease(environment: Environment) -> tuple[str, ...]:
    return (f"weighbridge-{environment.name}",)


_LEASE: Final = re.compile(r"^weighbridge-.")

NEEDS: Final[tuple[Need, ...]] = (
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
        Rule(group="coordination.k8s.io", resource="leases", verbs=("get",), needed_by=EVERYBODY,
             why="whether a run of this environment is under way, and whose"),
        _lease, _LEASE,
    ),
    unnamed(
        Rule(group="coordination.k8s.io", resource="leases", verbs=("create",), needed_by=WRITERS,
             why="one run at a time; a POST, so no name can be given"),
    ),
    Need(
        Rule(group="coordination.k8s.io", resource="leases", verbs=("update", "patch", "delete"), needed_by=WRITERS,
             why="one run at a time: renewed while it runs, removed at its end"),
        _lease, _LEASE,
    ),
)  # fmt: skip
