"""What the registration needs from the cluster's API."""

import re
from typing import Final

from weighbridge.domain import naming
from weighbridge.domain.access import EVERYBODY, Role, Rule
from weighbridge.domain.needs import Need, unnamed
from weighbridge.environment.types import Environment

IFM_GROUP: Final = "watsonxaiifm.cpd.ibm.com"

_SWITCH: Final = frozenset({Role.SWITCH})
_RECORD: Final = re.compile(r"^weighbridge-.+-intents$")


def _custom_resource(environment: Environment) -> tuple[str, ...]:
    return (environment.cluster.custom_resource,)


def _record(environment: Environment) -> tuple[str, ...]:
    return (naming.intents_name(environment.name),)


NEEDS: Final[tuple[Need, ...]] = (
    Need(
        Rule(group=IFM_GROUP, resource="watsonxaiifm", verbs=("get",), needed_by=EVERYBODY,
             why="which models are registered, and whether the operator has taken them in"),
        _custom_resource,
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=("get",), needed_by=EVERYBODY,
             why="the record of what was registered"),
        _record, _RECORD,
    ),
    Need(
        Rule(group=IFM_GROUP, resource="watsonxaiifm", verbs=("patch",), needed_by=_SWITCH,
             why="our entries of the list, by JSON patch"),
        _custom_resource,
    ),
    unnamed(
        Rule(group="", resource="configmaps", verbs=("create",), needed_by=_SWITCH,
             why="the record of what was registered; a POST, so no name can be given"),
    ),
    Need(
        Rule(group="", resource="configmaps", verbs=("patch", "delete"), needed_by=_SWITCH,
             why="the record of what was registered"),
        _record, _RECORD,
    ),
)  # fmt: skip
