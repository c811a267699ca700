"""What the volumes need from the cluster's API."""

from collections.abc import Iterable
from typing import Final

from weighbridge.domain.access import EVERYBODY, Role, Rule
from weighbridge.domain.claims import claims, own_claims
from weighbridge.domain.needs import Need, unnamed
from weighbridge.environment.types import Environment

_WEIGHTS: Final = frozenset({Role.WEIGHTS})


def _storage_classes(environment: Environment) -> Iterable[str]:
    return (name for model in environment.models if (name := model.storage.storage_class) is not None)


def _some_class(environment: Environment) -> bool:
    return any(_storage_classes(environment))


NEEDS: Final[tuple[Need, ...]] = (
    Need(
        Rule(group="storage.k8s.io", resource="storageclasses", verbs=("get",), namespaced=False,
             needed_by=EVERYBODY, optional=True, why="says at once that a storage class is absent"),
        _storage_classes,
    ),
    unnamed(
        Rule(group="storage.k8s.io", resource="storageclasses", verbs=("list",), namespaced=False,
             needed_by=EVERYBODY, optional=True, why="names the storage classes there are, where one is absent"),
        _some_class,
    ),
    Need(
        Rule(group="", resource="persistentvolumeclaims", verbs=("get",), needed_by=EVERYBODY,
             why="whether the volumes are there, and which they are"),
        claims,
    ),
    Need(
        Rule(group="", resource="persistentvolumeclaims", verbs=("create", "patch"), needed_by=_WEIGHTS,
             why="the volumes that Weighbridge makes"),
        own_claims,
    ),
    Need(
        Rule(group="", resource="persistentvolumeclaims", verbs=("delete",), needed_by=_WEIGHTS, optional=True,
             why="`destroy --weights`, and nothing else"),
        own_claims,
    ),
    unnamed(
        Rule(group="", resource="persistentvolumeclaims", verbs=("list",), needed_by=_WEIGHTS, optional=True,
             why="`destroy --weights` sees that a claim is gone; without it Pulumi waits ten minutes for each"),
        own_claims,
    ),
    unnamed(
        Rule(group="", resource="resourcequotas", verbs=("list",), needed_by=_WEIGHTS, optional=True,
             why="`doctor` says beforehand whether claims and pods fit, and `apply` how many models at once"),
    ),
    unnamed(
        Rule(group="", resource="limitranges", verbs=("list",), needed_by=_WEIGHTS, optional=True,
             why="`doctor` says beforehand whether claims and pods are within it"),
    ),
    unnamed(
        Rule(group="storage.k8s.io", resource="csidrivers", verbs=("get",), namespaced=False, needed_by=EVERYBODY,
             optional=True, why="`doctor` says whether volumes are given to the pods' group"),
        _some_class,
    ),
)  # fmt: skip
