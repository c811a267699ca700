"""What is checked, in which order, and what depends on what. Here is what every run needs; the rest is in the steps'
packages. A failure never stops it; every probe has a deadline.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from weighbridge.core.examination import Phase
from weighbridge.core.finding import Diagnosis, Finding, Level, flat, not_looked_at, of_error, ok, warn
from weighbridge.core.port import Port
from weighbridge.core.session import Ports
from weighbridge.core.step import Step
from weighbridge.doctor import access, cluster
from weighbridge.domain.access import Rule
from weighbridge.domain.facts import Facts
from weighbridge.environment.types import Environment
from weighbridge.errors import ForbiddenError, WeighbridgeError
from weighbridge.permissions import permissions
from weighbridge.probing.deadline import within
from weighbridge.probing.probes import PROBES, Probes, Server
from weighbridge.steps import STEPS

T = TypeVar("T")

PROBE_SECONDS: Final = 60.0
"""For a probe without a shorter deadline of its own."""

Say = Callable[[str], None]
"""Takes the name of what is checked next."""


def _silent(_: str) -> None:
    """Drop the name."""


def examine(  # noqa: PLR0913 - the last ones are for tests
    environment: Environment,
    ports: Ports,
    *,
    pods: bool = False,
    say: Say = _silent,
    steps: Sequence[Step] = STEPS,
    seconds: float = PROBE_SECONDS,
) -> Diagnosis:
    """Check everything. Write nothing to the cluster unless ``pods``; then remove what was written."""
    return _Examination(environment, ports, pods, say, steps, seconds).run()


@dataclass
class _Examination:
    """See ``core.examination.Look``."""

    environment: Environment
    ports: Ports
    pods: bool
    tell: Say
    steps: Sequence[Step]
    seconds: float
    found: list[Finding] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)
    missing: tuple[Rule, ...] = ()
    server: Server | None = None
    uid: str | None = None
    where: str | None = None

    def run(self) -> Diagnosis:
        self._tools()
        self._look(Phase.OUTSIDE)
        reached = self._cluster()
        if not reached:
            self._left_out(access.AREA)
        for phase in (Phase.SERVED, Phase.MADE):
            self._look(phase, reached=reached)
        self._state()
        self._look(Phase.PODS, reached=reached)
        return Diagnosis(
            environment=self.environment.name,
            where=self.where,
            findings=tuple(self.found),
            user=self.server.user if self.server else None,
            missing=self.missing,
        )

    def _look(self, phase: Phase, *, reached: bool = True) -> None:
        for step in self.steps:
            areas = [area for area in step.areas if area.phase is phase]
            if areas and reached:
                self._let_look(step, phase, areas[0].name)
                continue
            for area in areas:
                if self.pods or not area.by_pods:
                    self._left_out(area.name)

    def _let_look(self, step: Step, phase: Phase, area: str) -> None:
        """Run the step's checks. An error such as a port that cannot be made does not stop other steps."""
        try:
            step.examine(self, phase)
        except WeighbridgeError as error:
            self.found.append(of_error(area, step.name, error))

    def _left_out(self, area: str) -> None:
        self.found.append(not_looked_at(area, "everything", "the cluster was not reached"))

    # -- what steps use ----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        skew = self.server.skew_seconds if self.server and self.server.skew_seconds else 0.0
        return datetime.now(UTC) - timedelta(seconds=skew)

    def port(self, port: Port[T]) -> T:
        return self.ports(port)

    def say(self, what: str) -> None:
        self.tell(what)

    def ask(
        self, area: str, name: str, call: Callable[[], T], *, level: Level = Level.FAIL
    ) -> tuple[T] | None:
        """See ``core.examination.Look``. A missing permission for a check is not a failure of its own."""
        try:
            return (within(self.seconds, name, call),)
        except ForbiddenError as error:
            self.found.append(self.unread(area, name, error))
        except WeighbridgeError as error:
            self.found.append(of_error(area, name, error, level))
        return None

    def unread(self, area: str, name: str, error: ForbiddenError) -> Finding:
        if self.missing:  # the missing rule has a line there, with what to ask for
            return not_looked_at(area, name, "a permission is missing (see permissions)")
        return not_looked_at(area, name, f"it may not be read ({flat(error.what)})", error.remedy)

    # -- this machine ------------------------------------------------------------------------------------------------

    @property
    def _probes(self) -> Probes:
        return self.ports(PROBES)

    def _tools(self) -> None:
        self.say("tools")
        found = self.ask(cluster.TOOLS, "tools", self._probes.tools)
        if found:
            self.found += [cluster.judge_tool(tool) for tool in found[0]]
        image = self.environment.pods.image
        if "@sha256:" in image:
            self.found.append(ok("image", "reference", f"{image.partition('@')[0]}, by digest"))
        else:
            self.found.append(warn(
                "image", "reference", f"{image} is not pinned by a digest: its registry may serve something else under it tomorrow",
                "write pods.image as NAME@sha256:…; whether it can be pulled is seen with --pods",
            ))  # fmt: skip

    # -- cluster -----------------------------------------------------------------------------------------------------

    def _cluster(self) -> bool:
        """Return whether the cluster was reached."""
        self.say("cluster")
        where = self.ask(cluster.CLUSTER, "kubeconfig", lambda: self._probes.where)
        if where is None:
            return False
        self.where = where[0]
        server = self.ask(cluster.CLUSTER, "API server", self._probes.server)
        if server is None:
            return False
        self.server = server[0]
        self.found.append(ok(cluster.CLUSTER, "API server", self.server.where))
        self.found += cluster.judge_server(self.server)
        self._permissions()
        uid = self.ask(cluster.CLUSTER, "identity", self._probes.uid)
        if uid:
            self.uid = uid[0]
            self.found.append(ok(cluster.CLUSTER, "identity", f"kube-system UID {self.uid}"))
        name = self.environment.cluster.namespace
        namespace = self.ask(cluster.CLUSTER, f"namespace {name}", self._probes.namespace)
        if namespace:
            self.found.append(cluster.judge_namespace(name, namespace[0]))
        run = self.ask(cluster.CLUSTER, "other runs", self._probes.under_way, level=Level.WARN)
        if run:
            said = run[0]
            self.found.append(
                ok(cluster.CLUSTER, "other runs", "none under way")
                if said is None
                else warn(cluster.CLUSTER, "other runs", said)
            )
        return True

    def _permissions(self) -> None:
        self.say("permissions")
        rules = permissions(self.environment, self.steps)
        namespace = self.environment.cluster.namespace
        asked = [item for rule in rules for item in rule.accesses(namespace)]
        answers = self.ask(access.AREA, "everything", lambda: self._probes.allowed(asked))
        if answers:
            self.missing = access.missing_rules(rules, answers[0], namespace)
            self.found += access.judge_access(self.environment, rules, self.missing, self.steps)

    def _state(self) -> None:
        self.say("state")
        backend = self.environment.state.backend.partition("?")[0]
        states = self.ask(cluster.STATE, "backend", self._probes.states)
        if states:
            self.found += cluster.judge_state(states[0], backend, self.uid)
        else:
            self.found.append(not_looked_at(cluster.STATE, "stacks", "the backend did not answer"))
