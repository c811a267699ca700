"""What is looked at, in which order, and what depends on what. Never stops at a failure; every probe has a deadline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar
from urllib.parse import urlsplit

from weighbridge.core.plan import claim_of
from weighbridge.doctor import (
    access,
    admission,
    cluster,
    from_pods,
    network,
    quota,
    reach,
    registration,
    storage,
)
from weighbridge.doctor.deadline import together, within
from weighbridge.doctor.finding import Diagnosis, Finding, Level, not_looked_at, of_error, ok, warn
from weighbridge.doctor.plans import Document, Rehearsed, pod_need
from weighbridge.doctor.probes import Object, Probes, Server, Stage
from weighbridge.domain import human, sizing
from weighbridge.domain.access import Rule
from weighbridge.domain.permissions import permissions
from weighbridge.domain.quantity import parse_bytes
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import AccessMode, Environment, Model
from weighbridge.errors import ForbiddenError, WeighbridgeError

T = TypeVar("T")

SOURCE: Final = "source"
PROBE_SECONDS: Final = 60.0
"""For whatever has no shorter deadline of its own."""
LISTING_SECONDS: Final = 180.0

Say = Callable[[str], None]
"""Takes the name of what is looked at next."""


def _silent(_: str) -> None:
    """Nobody watches."""


def examine(  # noqa: PLR0913 - the last is for tests
    environment: Environment,
    probes: Probes,
    rehearsed: Rehearsed,
    *,
    pods: bool = False,
    say: Say = _silent,
    seconds: float = PROBE_SECONDS,
) -> Diagnosis:
    """Look at everything. Writes nothing to the cluster unless ``pods``, and then removes it again."""
    return _Examination(environment, probes, rehearsed, say, seconds).run(pods=pods)


@dataclass
class _Examination:
    environment: Environment
    probes: Probes
    rehearsed: Rehearsed
    say: Say
    seconds: float
    found: list[Finding] = field(default_factory=list)
    missing: tuple[Rule, ...] = ()
    server: Server | None = None
    uid: str | None = None
    where: str | None = None
    listings: dict[str, SourceListing] = field(default_factory=dict)
    ways: dict[str, Sequence[Stage]] = field(default_factory=dict)
    """By the URL of a source's server."""
    claims: dict[str, Object | None] = field(default_factory=dict)
    """By name; one that could not be read is not in it."""

    def run(self, *, pods: bool) -> Diagnosis:
        self._tools()
        self._source()
        if self._cluster():
            self._registration()
            self._storage()
            self._quota()
            self._admission()
            self._state()
            self._pods(asked=pods)
        else:
            why = "the cluster was not reached"
            for area in (access.AREA, registration.AREA, storage.AREA, quota.AREA, admission.AREA):
                self.found.append(not_looked_at(area, "everything", why))
            self._state()
            self.found.append(not_looked_at(network.AREA, "everything", why))
            if pods:
                self.found.append(not_looked_at(from_pods.AREA, "everything", why))
        return Diagnosis(
            environment=self.environment.name,
            where=self.where,
            findings=tuple(self.found),
            user=self.server.user if self.server else None,
            missing=self.missing,
        )

    def _ask(
        self, area: str, name: str, call: Callable[[], T], *, level: Level = Level.FAIL
    ) -> tuple[T] | None:
        """What a probe found, in a tuple; where it was refused, a line, and ``None``. A missing permission of a mere look
        is no failure of its own: what needs it says so under permissions.
        """
        try:
            return (within(self.seconds, name, call),)
        except ForbiddenError as error:
            self.found.append(self._unread(area, name, error))
        except WeighbridgeError as error:
            self.found.append(of_error(area, name, error, level))
        return None

    def _unread(self, area: str, name: str, error: ForbiddenError) -> Finding:
        if self.missing:  # its rule stands there, with what to ask for
            return not_looked_at(area, name, "a permission is missing (see permissions)")
        return not_looked_at(area, name, f"it may not be read ({_flat(error.what)})", error.remedy)

    # -- this machine ------------------------------------------------------------------------------------------------

    def _tools(self) -> None:
        self.say("tools")
        found = self._ask(cluster.TOOLS, "tools", self.probes.tools)
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

    # -- source ------------------------------------------------------------------------------------------------------

    def _source(self) -> None:
        self.say("source")
        unresolved = self._references()
        sources = [model.source.chosen for model in self.environment.models]
        servers = {source.server: source for source in sources if source.server is not None}
        for server, source in servers.items():
            label = f"{urlsplit(server).netloc} from here"
            stages = self._ask(SOURCE, label, partial(self.probes.reach, server))
            if stages:
                self.ways[server] = stages[0]
                self.found += reach.judge_stages(SOURCE, label, stages[0], source.remedies, from_pod=False)
        self._login(unresolved)

    def _references(self) -> bool:
        """Whether a reference to a source's keys or a passphrase leads nowhere."""
        answers = self._ask(SOURCE, "secrets", lambda: self.probes.references(self.environment))
        if answers is None:
            return True
        broken = [(key, error) for key, error in answers[0] if error is not None]
        for key, error in broken:
            self.found.append(of_error(SOURCE, f"secret {key}", error))
        if not broken:
            self.found.append(
                ok(SOURCE, "secrets", f"{human.count(len(answers[0]), 'reference')}, each leads to a value")
            )
        return bool(broken)

    def _login(self, unresolved: bool) -> None:
        """Every model's listing, all at once."""
        models = [model for model in self.environment.models if self._answers(model)]
        answers = together(
            LISTING_SECONDS, "listing", [partial(self.probes.listing, model) for model in models]
        )
        found = {model.id: answer for model, answer in zip(models, answers, strict=True)}
        for model in self.environment.models:
            name = f"login for {model.id}"
            if model.id not in found:
                self.found.append(not_looked_at(SOURCE, name, "its server was not reached"))
            else:
                self.found.append(self._listed(model, name, found[model.id], unresolved=unresolved))

    def _answers(self, model: Model) -> bool:
        server = model.source.chosen.server
        return server is None or reach.reached(self.ways.get(server, ()))

    def _listed(
        self, model: Model, name: str, listing: SourceListing | BaseException, *, unresolved: bool
    ) -> Finding:
        if isinstance(listing, ForbiddenError):
            return not_looked_at(
                SOURCE, name, f"its keys may not be read ({_flat(listing.what)})", listing.remedy
            )
        if isinstance(listing, WeighbridgeError):
            if unresolved and listing.code.startswith("secret-"):
                return not_looked_at(SOURCE, name, "its keys are missing (see secrets)")
            return of_error(SOURCE, name, listing)
        if isinstance(listing, BaseException):
            raise listing
        self.listings[model.id] = listing
        count, size = human.count(len(listing.files), "file"), human.size(listing.total_bytes)
        return ok(SOURCE, name, f"{model.source.chosen.where} holds {count}, {size}")

    # -- cluster -----------------------------------------------------------------------------------------------------

    def _cluster(self) -> bool:
        self.say("cluster")
        where = self._ask(cluster.CLUSTER, "kubeconfig", lambda: self.probes.where)
        if where is None:
            return False
        self.where = where[0]
        server = self._ask(cluster.CLUSTER, "API server", self.probes.server)
        if server is None:
            return False
        self.server = server[0]
        self.found.append(ok(cluster.CLUSTER, "API server", self.server.where))
        self.found += cluster.judge_server(self.server)
        self._permissions()
        uid = self._ask(cluster.CLUSTER, "identity", self.probes.uid)
        if uid:
            self.uid = uid[0]
            self.found.append(ok(cluster.CLUSTER, "identity", f"kube-system UID {self.uid}"))
        name = self.environment.cluster.namespace
        namespace = self._ask(cluster.CLUSTER, f"namespace {name}", self.probes.namespace)
        if namespace:
            self.found.append(cluster.judge_namespace(name, namespace[0]))
        run = self._ask(cluster.CLUSTER, "other runs", self.probes.under_way, level=Level.WARN)
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
        rules = permissions(self.environment)
        namespace = self.environment.cluster.namespace
        asked = [item for rule in rules for item in rule.accesses(namespace)]
        answers = self._ask(access.AREA, "everything", lambda: self.probes.allowed(asked))
        if answers:
            self.missing = access.missing_rules(rules, answers[0], namespace)
            self.found += access.judge_access(self.environment, rules, self.missing)

    def _registration(self) -> None:
        self.say("registration")
        served = self._ask(registration.AREA, "resource definition", self.probes.served_versions)
        if served:
            self.found.append(registration.judge_served(served[0]))
        if served and registration.VERSION not in served[0]:
            self.found.append(
                not_looked_at(registration.AREA, "custom resource", "its definition is not served")
            )
            return
        name = self.environment.cluster.custom_resource
        live = self._ask(registration.AREA, f"custom resource {name}", self.probes.custom_resource)
        if live:
            self.found += registration.judge_custom_resource(name, live[0], self._server_now())
        operators = self._ask(
            registration.AREA, "operator's Deployment", self.probes.operators, level=Level.WARN
        )
        if operators:
            self.found.append(registration.judge_operators(operators[0]))

    def _server_now(self) -> datetime:
        skew = self.server.skew_seconds if self.server and self.server.skew_seconds else 0.0
        return datetime.now(UTC) - timedelta(seconds=skew)

    def _storage(self) -> None:
        self.say("storage")
        claims: list[Finding] = []
        for model in self.environment.models:
            name = claim_of(self.environment, model)
            before = len(self.found)
            claim = self._ask(storage.AREA, f"claim {name}", partial(self.probes.claim, name))
            if claim:
                self.claims[name] = claim[0]
                needed = self._needed(model)
                claims.append(storage.judge_claim(self.environment.name, model, name, claim[0], needed))
            claims += self.found[before:]
            del self.found[before:]
        wanted: dict[str, set[AccessMode]] = {}
        for model in self.environment.models:
            if model.storage.storage_class is not None:
                wanted.setdefault(model.storage.storage_class, set()).add(model.storage.access_mode)
        for name, modes in wanted.items():
            self._storage_class(name, frozenset(modes))
        self.found += claims

    def _storage_class(self, name: str, modes: frozenset[AccessMode]) -> None:
        label = f"class {name}"
        found = self._ask(storage.AREA, label, partial(self.probes.storage_class, name))
        if found is None:
            return
        proven = any(storage.is_shared_and_bound(claim, name) for claim in self.claims.values())
        self.found += storage.judge_class(name, found[0], modes, proven=proven)
        if found[0] is None:
            self.found.append(not_looked_at(storage.AREA, f"{label}: fsGroup", "the class is absent"))
            return
        provisioner = str(found[0].get("provisioner", ""))
        driver = self._ask(
            storage.AREA, f"{label}: fsGroup", partial(self.probes.csi_driver, provisioner), level=Level.WARN
        )
        if driver:
            shared = AccessMode.READ_WRITE_MANY in modes
            self.found.append(storage.judge_driver(label, provisioner, driver[0], shared=shared))

    def _needed(self, model: Model) -> int | None:
        listing = self.listings.get(model.id)
        return None if listing is None else sizing.needed_bytes(listing.total_bytes, model.storage.keep)

    def _quota(self) -> None:
        self.say("quota")
        claims = [
            quota.ClaimNeed(claim_of(self.environment, model), model.storage.storage_class, self._size(model))
            for model in self.environment.models
            if model.storage.existing_pvc is None
            and self.claims.get(claim_of(self.environment, model)) is None
        ]
        need = pod_need(self.environment)
        quotas = self._ask(quota.AREA, "ResourceQuota", self.probes.quotas)
        if quotas:
            self.found += quota.judge_quotas(quotas[0], claims, need)
        ranges = self._ask(quota.AREA, "LimitRange", self.probes.limit_ranges)
        if ranges:
            self.found += quota.judge_limit_ranges(ranges[0], claims, need)

    def _size(self, model: Model) -> int | None:
        return parse_bytes(model.storage.size) if model.storage.size != "auto" else self._needed(model)

    def _admission(self) -> None:
        self.say("admission")
        documents: list[Document] = []
        for model in self.environment.models:
            listing = self.listings.get(model.id)
            if listing is None:
                self.found.append(
                    not_looked_at(admission.AREA, f"objects of {model.id}", "its source could not be listed")
                )
                continue
            try:
                documents += self.rehearsed(model, listing)
            except WeighbridgeError as error:
                self.found.append(of_error(admission.AREA, f"objects of {model.id}", error))
        if documents:
            answers = self._ask(admission.AREA, "dry run", lambda: self.probes.rehearse(documents))
            if answers:
                self.found += admission.judge_rehearsals(answers[0])

    def _state(self) -> None:
        self.say("state")
        backend = self.environment.state.backend.partition("?")[0]
        states = self._ask(cluster.STATE, "backend", self.probes.states)
        if states:
            self.found += cluster.judge_state(states[0], backend, self.uid)
        else:
            self.found.append(not_looked_at(cluster.STATE, "stacks", "the backend did not answer"))

    # -- the way from pods -------------------------------------------------------------------------------------------

    def _pods(self, *, asked: bool) -> None:
        policies = self._ask(network.AREA, "NetworkPolicy", self.probes.network_policies)
        part = from_pods.FromPods(
            self.environment,
            self.probes,
            self.say,
            ways=self.ways,
            claims=self.claims,
            policies=policies[0] if policies else None,
            unread=self._unread,
        )
        self.found += part.look(asked=asked)


def _flat(text: str) -> str:
    return " ".join(text.split())
