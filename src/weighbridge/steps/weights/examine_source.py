"""What ``doctor`` checks about the models' sources: their secrets, the connection to their servers from here, the login."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar
from urllib.parse import urlsplit

from weighbridge.core import examination
from weighbridge.core.finding import Finding, fail, flat, not_looked_at, of_error, ok, warn
from weighbridge.domain import human
from weighbridge.domain.claims import claim_of
from weighbridge.domain.facts import Key
from weighbridge.domain.weights import LISTING, SourceListing
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import ForbiddenError, WeighbridgeError
from weighbridge.holdings import HOLDINGS
from weighbridge.probing.deadline import together
from weighbridge.probing.probes import PROBES, Probes, Stage
from weighbridge.steps.weights import areas, reach
from weighbridge.steps.weights.judged import is_in_place

T = TypeVar("T")

SOURCE: Final = areas.SOURCE.name
LISTING_SECONDS: Final = 180.0

WAYS: Final[Key[Sequence[Stage]]] = Key("ways to sources")
"""By endpoint: the stages of the connection from here."""


@dataclass(frozen=True, slots=True)
class SourceLook:
    """Check the sources. Put ``LISTING`` of every model that could be listed, and ``WAYS``, into the facts."""

    look: examination.Look

    @property
    def environment(self) -> Environment:
        return self.look.environment

    @property
    def probes(self) -> Probes:
        return self.look.port(PROBES)

    @property
    def found(self) -> list[Finding]:
        return self.look.found

    def _ask(self, area: str, name: str, call: Callable[[], T]) -> tuple[T] | None:
        return self.look.ask(area, name, call)

    def look_at_it(self) -> None:
        self.look.say("source")
        unresolved = self._references()
        sources = [model.source.chosen for model in self.environment.models]
        servers = {source.server: source for source in sources if source.server is not None}
        for server, source in servers.items():
            label = f"{urlsplit(server).netloc} from here"
            stages = self._ask(SOURCE, label, partial(self.probes.reach, server))
            if stages:
                self.look.facts.put(WAYS, stages[0], server)
                self.found.extend(
                    reach.judge_stages(SOURCE, label, stages[0], source.remedies, from_pod=False)
                )
        self._login(unresolved)

    def _references(self) -> bool:
        """Return whether a reference to a source's keys or a passphrase cannot be resolved."""
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
        """List the sources of all models side by side."""
        models = [model for model in self.environment.models if self._answers(model)]
        answers = together(
            LISTING_SECONDS, "listing", [partial(self.probes.listing, model) for model in models]
        )
        found = {model.id: answer for model, answer in zip(models, answers, strict=True)}
        for model in self.environment.models:
            source = model.source.chosen
            name = f"login for {model.id}" if source.server is not None else f"{source.kind} of {model.id}"
            if model.id not in found:
                self.found.append(not_looked_at(SOURCE, name, "its server was not reached"))
            else:
                self.found.append(self._listed(model, name, found[model.id], unresolved=unresolved))
                self.found.extend(self._judged(model))

    def _judged(self, model: Model) -> Iterator[Finding]:
        """Yield what is wrong with a listed model. No failure if the set is in place: an apply leaves it alone."""
        listing = self.look.facts.one(LISTING, model.id)
        if listing is None or not listing.flaws:
            return
        stays = any(flaw.refused for flaw in listing.flaws) and self._in_place(model, listing)
        for flaw in listing.flaws:
            judge = fail if flaw.refused and not stays else warn
            yield judge(SOURCE, f"files of {model.id}", flaw.what, flaw.remedy)

    def _in_place(self, model: Model, listing: SourceListing) -> bool:
        try:
            holdings = self.look.port(HOLDINGS)
            receipt = holdings.receipts(self.environment.name).get(model.id)
            claim = holdings.claim(claim_of(self.environment, model))
        except WeighbridgeError:  # other lines report what stops us from asking
            return False
        return is_in_place(listing, claim, receipt)

    def _answers(self, model: Model) -> bool:
        server = model.source.chosen.server
        return server is None or reach.reached(self.look.facts.one(WAYS, server) or ())

    def _listed(
        self, model: Model, name: str, listing: SourceListing | BaseException, *, unresolved: bool
    ) -> Finding:
        if isinstance(listing, ForbiddenError):
            return not_looked_at(
                SOURCE, name, f"its keys may not be read ({flat(listing.what)})", listing.remedy
            )
        if isinstance(listing, WeighbridgeError):
            if unresolved and listing.code.startswith("secret-"):
                return not_looked_at(SOURCE, name, "its keys are missing (see secrets)")
            return of_error(SOURCE, name, listing)
        if isinstance(listing, BaseException):
            raise listing
        self.look.facts.put(LISTING, listing, model.id)
        count, size = human.count(len(listing.files), "file"), human.size(listing.total_bytes)
        return ok(SOURCE, name, f"{model.source.chosen.where} holds {count}, {size}")
