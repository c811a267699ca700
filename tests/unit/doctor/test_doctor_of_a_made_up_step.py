"""A step that doctor never heard of: its room alone makes it show up in rules, Roles, refusals and lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from support.probes import FakeProbes, ProbePorts
from support.world import environment
from weighbridge.core.examination import Area, Look, Phase
from weighbridge.core.finding import Finding, Level, ok, warn
from weighbridge.core.port import Port
from weighbridge.core.step import Step
from weighbridge.doctor.examine import examine
from weighbridge.domain.access import Access, Role, Rule
from weighbridge.domain.needs import Mounted, Need, unnamed
from weighbridge.environment.types import Environment
from weighbridge.errors import ForbiddenError, PreconditionError
from weighbridge.grants import render_grants
from weighbridge.permissions import missing_rule, permissions
from weighbridge.steps import STEPS


@dataclass
class Ringer:
    error: PreconditionError | ForbiddenError | None = None
    stairs: PreconditionError | None = None

    def climb(self) -> None:
        if self.stairs is not None:
            raise self.stairs

    def tone(self) -> str:
        if self.error is not None:
            raise self.error
        return "c"


RINGER: Port[Ringer] = Port("ringer", lambda _: Ringer())

TOWERS, ROPES, RINGING = (
    Area("towers", Phase.SERVED),
    Area("ropes", Phase.MADE),
    Area("ringing", Phase.PODS, by_pods=True),
)


class BellsStep(Step):
    name: ClassVar = "bells"
    only: ClassVar = "tower"
    areas: ClassVar = (TOWERS, ROPES, RINGING)
    permissions: ClassVar = (
        Need(
            Rule(
                group="bells.example.com",
                resource="bells",
                verbs=("get", "patch"),
                needed_by=frozenset({Role.SWITCH}),
                why="bells are hung",
            ),
            lambda environment: tuple(f"bell-{model.id}" for model in environment.models),
        ),
        unnamed(
            Rule(
                group="", resource="pods", verbs=("list",), needed_by=frozenset({Role.WEIGHTS}), why="ringers"
            )
        ),
    )

    def mounted(self, environment: Environment) -> Mounted:
        return Mounted(claims=("belfry",), secrets=tuple(f"bell-{model.id}" for model in environment.models))

    def examine(self, look: Look, phase: Phase) -> None:
        look.say(f"bells, {phase.name}")
        if phase is Phase.SERVED:
            look.port(RINGER).climb()
            tone = look.ask(TOWERS.name, "tone", look.port(RINGER).tone)
            if tone:
                look.found.append(ok(TOWERS.name, "tone", tone[0]))
        elif phase is Phase.MADE:
            look.found.append(warn(ROPES.name, "rope", "worn", "splice it", theirs=True))
        else:
            look.found.append(ok(RINGING.name, "from pods", "rung" if look.pods else "silent"))

    def judge_permissions(
        self, environment: Environment, rules: tuple[Rule, ...], missing: tuple[Rule, ...]
    ) -> Iterable[Finding]:
        del environment, rules
        lacking = [rule for rule in missing if rule.resource == "bells"]
        yield ok("permissions", "bells", f"{len(lacking)} lacking")


WITH_BELLS = (*STEPS, BellsStep())
ENVIRONMENT = environment("one", "two")


def told(
    *, probes: FakeProbes | None = None, ringer: Ringer | None = None, pods: bool = False
) -> list[Finding]:
    ports = ProbePorts(probes or FakeProbes(), ringer=ringer or Ringer())
    return [*examine(ENVIRONMENT, ports, pods=pods, steps=WITH_BELLS, seconds=30).findings]


def lines(found: list[Finding], area: str) -> list[tuple[str, Level, str]]:
    return [(item.name, item.level, item.said) for item in found if item.area == area]


def test_its_rules_stand_beside_the_others_and_one_that_is_there_already_is_not_doubled() -> None:
    before, after = permissions(ENVIRONMENT), permissions(ENVIRONMENT, WITH_BELLS)
    fresh = [rule for rule in after if rule not in before]
    assert [(rule.path, rule.names) for rule in fresh] == [
        ("pods", ()),
        ("bells", ("bell-one", "bell-two")),
    ]
    assert len(after) == len(before) + 1
    assert fresh[0].why == "follows a Job's pods, whose names Kubernetes makes, and ringers"


def test_its_rules_are_in_the_roles_and_its_names_in_the_policy() -> None:
    documents = cast("list[dict[str, Any]]", [*render_grants(ENVIRONMENT, steps=WITH_BELLS).documents])
    holders = {
        item["metadata"]["name"]: rule["resourceNames"]
        for item in documents
        if item["kind"] == "Role"
        for rule in item["rules"]
        if rule["resources"] == ["bells"]
    }
    assert holders == {"weighbridge-test-switch": ["bell-one", "bell-two"]}
    [policy] = [item for item in documents if item["kind"] == "ValidatingAdmissionPolicy"]
    allowed = {row["name"]: row["expression"] for row in policy["spec"]["variables"]}
    assert "belfry" in allowed["claims"]
    assert "bell-one" in allowed["secrets"]


def test_a_refusal_names_its_rule() -> None:
    access = Access(verb="patch", group="bells.example.com", resource="bells", name="bell-x", namespace="n")
    assert missing_rule(access) is None
    found = missing_rule(access, WITH_BELLS)
    assert found is not None
    assert (found.why, found.verbs, found.names) == ("bells are hung", ("patch",), ("bell-x",))


def test_its_lines_come_in_their_phase_and_every_other_line_stays() -> None:
    without = examine(ENVIRONMENT, ProbePorts(FakeProbes()), seconds=30).findings
    found = told()
    assert [item for item in found if item in without and item.name != "role switch"] == [
        item for item in without if item.name != "role switch"
    ]
    areas = [*dict.fromkeys(item.area for item in found)]
    assert areas.index("registration") < areas.index("towers") < areas.index("storage")
    assert areas.index("admission") < areas.index("ropes") < areas.index("state")
    assert areas[-1] == "ringing"
    assert lines(found, "towers") == [("tone", Level.OK, "c")]
    assert lines(found, "ringing") == [("from pods", Level.OK, "silent")]
    assert lines(told(pods=True), "ringing") == [("from pods", Level.OK, "rung")]


def test_what_it_lacks_and_what_it_cannot_look_at_is_told_and_the_rest_goes_on() -> None:
    found = told(probes=FakeProbes(denied=lambda access: access.resource == "bells"))
    assert ("bells", Level.OK, "1 lacking") in lines(found, "permissions")
    assert any(
        item.theirs and item.said.startswith("may not get, patch bells.bells.example.com bell-one, bell-two")
        for item in found
    )

    broken = told(ringer=Ringer(PreconditionError("no tower", remedy="build it", code="no-tower")))
    assert lines(broken, "towers") == [("tone", Level.FAIL, "no tower")]
    assert lines(broken, "ropes") == [("rope", Level.WARN, "worn")]
    unread = told(ringer=Ringer(ForbiddenError("not yours", code="cluster-forbidden")))
    assert lines(unread, "towers") == [
        ("tone", Level.WARN, "not looked at, because it may not be read (not yours)")
    ]


def test_a_failure_that_it_lets_through_is_its_own_line_alone() -> None:
    found = told(ringer=Ringer(stairs=PreconditionError("the stairs are gone")))
    assert lines(found, "towers") == [("bells", Level.FAIL, "the stairs are gone")]
    assert lines(found, "ropes") == [("rope", Level.WARN, "worn")]


def test_without_the_cluster_its_areas_are_named_all_the_same() -> None:
    probes = FakeProbes(broken={"where": PreconditionError("no such context", code="no-context")})
    why = ("everything", Level.WARN, "not looked at, because the cluster was not reached")
    found = told(probes=probes)
    assert (lines(found, "towers"), lines(found, "ropes"), lines(found, "ringing")) == ([why], [why], [])
    assert lines(told(probes=probes, pods=True), "ringing") == [why]
