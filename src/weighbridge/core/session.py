"""One environment, opened: what each verb of the command line does, as values. Printing is somebody else's."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from weighbridge.core.events import StepEnded, StepStarted, Warned
from weighbridge.core.outcome import Done, Failed
from weighbridge.core.plan import Plan, build_plan, claim_of
from weighbridge.core.run import Ports, StepResult, execute, journal_facts
from weighbridge.domain.facts import ClaimFacts, PlannedEntry, StandingEntry
from weighbridge.domain.lease import Turn
from weighbridge.domain.stacks import ClusterIdentity, StackResult
from weighbridge.domain.steps import SyncWeights
from weighbridge.domain.weights import Receipt, SourceListing
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import (
    InputError,
    PreconditionError,
    StepFailedError,
    VerificationError,
    WeighbridgeError,
)
from weighbridge.look import Eyes, claims_spec, identity_of, look, registration_spec, spec_maker
from weighbridge.ports import Journal, Observer, Tenure, TransferReport

RenderTo = Callable[[Path, Mapping[str, SourceListing]], tuple[Path, ...]]
"""Write the manifests and the playbooks' variables below a folder; the files written."""


_AT_ONCE = Turn()
"""Where another run holds the environment, refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an apply did."""

    plan: Plan
    results: tuple[StepResult, ...]
    seconds: float

    @property
    def failures(self) -> tuple[Failed, ...]:
        return tuple(result.outcome for result in self.results if isinstance(result.outcome, Failed))

    @property
    def changed(self) -> bool:
        return any(isinstance(result.outcome, Done) for result in self.results)

    @property
    def exit_code(self) -> int:
        """0; 4 where a step failed; 3 where everything that was to be brought in was refused for reasons found on the
        way (a claim that stays Pending, an image that cannot be pulled), so that no model got anywhere. One model of
        several that fails is always 4, whether the others arrived now or earlier.
        """
        codes = {failure.error.exit_code for failure in self.failures}
        syncs = [result.outcome for result in self.results if isinstance(result.planned.step, SyncWeights)]
        failed = sum(isinstance(outcome, Failed) for outcome in syncs)
        arrived = any(isinstance(outcome, Done) for outcome in syncs) or 0 < failed < len(syncs)
        if not codes:
            return 0
        return codes.pop() if len(codes) == 1 and not arrived else StepFailedError.exit_code

    @property
    def complete(self) -> bool:
        return not self.failures and len(self.results) == len(self.plan.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verification read, model by model."""

    reports: Mapping[str, TransferReport]
    seconds: float

    @property
    def damaged(self) -> dict[str, tuple[str, ...]]:
        return {
            key: report.receipt.damaged
            for key, report in self.reports.items()
            if report.receipt is not None and report.receipt.verdict == "damaged"
        }

    @property
    def exit_code(self) -> int:
        """5 where bytes differ, 4 where a model could not be verified, else 0."""
        if self.damaged:
            return VerificationError.exit_code
        return StepFailedError.exit_code if self.failures else 0

    @property
    def failures(self) -> dict[str, WeighbridgeError]:
        """What kept a model from being verified; a set found damaged is a finding, not a failure."""
        return {
            key: report.outcome.error
            for key, report in self.reports.items()
            if isinstance(report.outcome, Failed) and not isinstance(report.outcome.error, VerificationError)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    model_id: str
    claim: ClaimFacts | None
    receipt: Receipt | None
    entry: StandingEntry | None
    """The entry of this model id in the custom resource as it stands, and whose it is."""

    @property
    def registered(self) -> bool:
        """Whether we registered it and it stands there, edited since or not."""
        return self.entry is not None and self.entry.owner != "foreign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    where: str
    namespace: str
    custom_resource: str
    operator: str
    unreconciled: str | None
    entries: tuple[PlannedEntry, ...]
    models: tuple[ModelStatus, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    registration: StackResult
    storage: StackResult | None
    kept: tuple[str, ...]
    """Claims that stay, with their weights."""
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An environment and everything its verbs need."""

    environment: Environment
    eyes: Eyes
    observer: Observer
    open_journal: Callable[[str], Journal]
    render_to: RenderTo

    def render(self, out: Path) -> tuple[Path, ...]:
        """Manifests and playbook variables as files. Looks at the sources (their listings name the sets), nowhere else."""
        listings = {model.id: self.eyes.weights.list(model) for model in self.environment.models}
        return self.render_to(out, listings)

    def plan(self, adopt: frozenset[str] = frozenset()) -> Plan:
        """What an apply would do. Read-only: no pod, no write, not even to Pulumi's state."""
        self._require_known(adopt)
        facts = look(self.environment, self.eyes, adopt)
        return build_plan(
            self.environment, replace(facts, warnings=(*facts.warnings, *self._others_under_way()))
        )

    def apply(self, adopt: frozenset[str] = frozenset(), turn: Turn = _AT_ONCE) -> Applied:
        """Plan, then run what is pending, alone. Every failure of a step is in the result; refusals before it, and the loss
        of the right to go on, are raised.
        """
        self._require_known(adopt)
        with self._alone("apply", turn) as tenure:
            self.eyes.stacks.settle(self.observer)
            return self._apply(adopt, tenure)

    def _apply(self, adopt: frozenset[str], tenure: Tenure) -> Applied:
        started = time.monotonic()
        plan = build_plan(self.environment, look(self.environment, self.eyes, adopt))
        journal = self.open_journal("apply")
        journal.record("planned", plan=plan.digest, pending=plan.pending, bytes_to_move=plan.bytes_to_move)
        for warning in plan.facts.warnings:
            self.observer(Warned(warning))
        self._tidy(tenure, keep=_to_be_synced(plan))
        ports = Ports(
            stacks=self.eyes.stacks,
            playbooks=self.eyes.playbooks,
            registry=self.eyes.registry,
            journal=journal,
            observer=self.observer,
            require=tenure.require,
        )
        results = execute(
            self.environment, plan, ports, spec_maker(self.environment, self.eyes, plan.facts, adopt)
        )
        applied = Applied(plan=plan, results=results, seconds=time.monotonic() - started)
        journal.record("run-ended", complete=applied.complete, steps=journal_facts(results))
        tenure.require()  # what the last step met may have been the loss
        return applied

    def verify(self, turn: Turn = _AT_ONCE) -> Verified:
        """Read every byte of every published set again, in the cluster, against the receipts on the volumes."""
        with self._alone("verify", turn) as tenure:
            return self._verify(tenure)

    def _verify(self, tenure: Tenure) -> Verified:
        started = time.monotonic()
        receipts = self.eyes.cluster.receipts(self.environment.name)
        absent = [model.id for model in self.environment.models if model.id not in receipts]
        if absent:
            raise PreconditionError(
                f"there is nothing to verify of {', '.join(absent)}: no weights were ever published here",
                remedy=f"weighbridge apply {self.environment.name}",
                code="never-published",
            )
        journal = self.open_journal("verify")
        reports = {
            model.id: self._verify_one(model, receipts[model.id], journal, tenure)
            for model in self.environment.models
        }
        tenure.require()
        return Verified(reports=reports, seconds=time.monotonic() - started)

    def status(self) -> Status:
        """What is in place, read with GET alone."""
        cluster = self.eyes.cluster
        cluster.uid()
        cluster.require_namespace()
        receipts = cluster.receipts(self.environment.name)
        state = self.eyes.registry.look((), frozenset())
        return Status(
            where=cluster.where,
            namespace=self.environment.cluster.namespace,
            custom_resource=self.environment.cluster.custom_resource,
            operator=state.status,
            unreconciled=state.unreconciled,
            entries=state.entries,
            models=tuple(
                ModelStatus(
                    model_id=model.id,
                    claim=cluster.claim(claim_of(self.environment, model)),
                    receipt=receipts.get(model.id),
                    entry=state.standing.get(model.id),
                )
                for model in self.environment.models
            ),
            warnings=(*state.warnings, *self._others_under_way()),
        )

    def destroy(self, typed_claims: frozenset[str] = frozenset(), turn: Turn = _AT_ONCE) -> Destroyed:
        """Take our registrations out and leave the volumes; with the name of every claim of ours typed, those too."""
        with self._alone("destroy", turn) as tenure:
            self.eyes.stacks.settle(self.observer)
            return self._destroy(typed_claims, tenure)

    @contextmanager
    def _alone(self, verb: str, turn: Turn) -> Iterator[Tenure]:
        """Hold the environment for one run; whatever is under way is ended where the hold is lost."""
        self.eyes.cluster.uid()
        self.eyes.cluster.require_namespace()

        def stop() -> None:
            if verb != "verify":  # which has no part in Pulumi, and need not be able to open its state
                self.eyes.stacks.cancel()

        with self.eyes.lock.hold(verb, turn, self.observer, stop) as tenure:
            yield tenure

    def _tidy(self, tenure: Tenure, keep: frozenset[str] = frozenset()) -> None:
        """Remove what earlier runs left of models, other than of those in ``keep``: theirs is what their sync goes on with."""
        for model_id in sorted(tenure.unfinished - keep):
            tenure.require()
            self.eyes.playbooks.tidy(model_id, self.observer)

    def _others_under_way(self) -> tuple[str, ...]:
        found = self.eyes.lock.under_way()
        return () if found is None else (found,)

    def _destroy(self, typed_claims: frozenset[str], tenure: Tenure) -> Destroyed:
        identity = identity_of(self.environment, self.eyes)
        ours = frozenset(
            claim_of(self.environment, model)
            for model in self.environment.models
            if model.storage.existing_pvc is None
        )
        if typed_claims:
            self._require_named(typed_claims, ours, identity)
        journal = self.open_journal("destroy")
        journal.record("destroying", weights=[*sorted(typed_claims)])
        tenure.require()
        self._tidy(tenure)
        registration = self.eyes.stacks.destroy(
            registration_spec(self.environment, identity, (), frozenset()), self.observer
        )
        self._require_unregistered()
        operator = self._await_removal(registration)
        tenure.require()
        storage = self._destroy_storage(identity, typed_claims) if typed_claims else None
        kept = self._standing(ours) if storage is None else ()
        journal.record("run-ended", kept=list(kept))
        return Destroyed(registration=registration, storage=storage, kept=kept, operator=operator)

    def _await_removal(self, registration: StackResult) -> str:
        """Wait for the operator also where it was an earlier, interrupted destroy that took the entries out."""
        if self.eyes.registry.unconfirmed():
            return self.eyes.registry.await_reconciled(self.observer)
        return "nothing is left to take in" if registration.changed else "nothing was registered"

    def _require_named(self, typed: frozenset[str], ours: frozenset[str], identity: ClusterIdentity) -> None:
        """Every claim that would go has been typed: also those of models that the file no longer declares, which the
        state still holds.
        """
        if not ours <= typed:
            raise InputError(
                f"--weights names {', '.join(sorted(typed))}; the claims of this environment are {', '.join(sorted(ours))}",
                remedy="name every one of them, each with its own --weights, or none",
                code="claims-not-named",
            )
        empty = claims_spec(self.environment, identity, ())
        held = ours | frozenset(self.eyes.stacks.preview(empty).kept)
        if typed != held:
            raise PreconditionError(
                f"--weights names {', '.join(sorted(typed))}; what would be deleted is {', '.join(sorted(held))}",
                remedy="name exactly these (some may be of models that the file no longer declares), or none",
                code="claims-not-named",
            )

    def _require_unregistered(self) -> None:
        """A state that was lost knows of nothing to take out: what the cluster shows decides."""
        try:
            standing = self.eyes.registry.look((), frozenset()).ours
        except PreconditionError as error:
            if error.code == "cr-absent":
                return
            raise
        if standing:
            raise PreconditionError(
                f"{', '.join(standing)} is still registered in {self.environment.cluster.custom_resource}: "
                f"the state in {self.environment.state.backend} does not know of it",
                remedy=f"correct state.backend, or take the entries back into the state (weighbridge apply {self.environment.name})"
                " and destroy again",
                code="not-in-state",
            )

    def _destroy_storage(self, identity: ClusterIdentity, claims: frozenset[str]) -> StackResult:
        spec = claims_spec(self.environment, identity, ())
        result = self.eyes.stacks.destroy(spec, self.observer, unprotect=True)
        if standing := self._standing(claims):
            raise StepFailedError(
                f"{', '.join(standing)} still stands with its weights: "
                f"the state in {self.environment.state.backend} does not know of it",
                remedy="correct state.backend, or delete the claim yourself (kubectl delete pvc)",
                code="not-in-state",
            )
        self.eyes.cluster.forget(self.environment.name, claims)
        return result

    def _standing(self, names: frozenset[str]) -> tuple[str, ...]:
        """Those claims that exist and are not on their way out."""
        found = {name: self.eyes.cluster.claim(name) for name in names}
        return tuple(sorted(name for name, claim in found.items() if claim and not claim.terminating))

    def _verify_one(self, model: Model, receipt: Receipt, journal: Journal, tenure: Tenure) -> TransferReport:
        tenure.require()
        title = f"verify {model.id}"
        self.observer(StepStarted(title, title))
        started = time.monotonic()
        try:
            report = self.eyes.playbooks.verify(model, receipt, self.observer)
        except WeighbridgeError as error:
            report = TransferReport(outcome=Failed(error))  # an earlier verdict is not this run's
        outcome = report.outcome
        journal.record("verified", model=model.id, outcome=outcome.word, detail=outcome.detail)
        self.observer(StepEnded(title, title, outcome.word, outcome.detail, time.monotonic() - started))
        return report

    def _require_known(self, adopt: frozenset[str]) -> None:
        unknown = adopt - {model.id for model in self.environment.models}
        if unknown:
            raise InputError(
                f"--adopt names {', '.join(sorted(unknown))}, which this environment does not declare",
                remedy=f"its models are {', '.join(model.id for model in self.environment.models)}",
                code="unknown-model",
            )


def _to_be_synced(plan: Plan) -> frozenset[str]:
    """Models whose weights are still to be brought in."""
    syncs = ((planned, planned.step) for planned in plan.steps)
    return frozenset(
        step.model_id for planned, step in syncs if isinstance(step, SyncWeights) and planned.pending
    )
