"""What pods see where the movers work, and which NetworkPolicy applies to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from weighbridge.core.finding import Finding, Level, not_looked_at, of_error, ok, warn
from weighbridge.domain.claims import claim_of
from weighbridge.environment.types import Environment, Model, Route
from weighbridge.errors import ForbiddenError
from weighbridge.mover.errors import RefusedError
from weighbridge.mover.proxies import ProxySettings, proxy_for
from weighbridge.probing.probes import Object, PodReport, Probes, Stage
from weighbridge.steps.weights import network, reach
from weighbridge.steps.weights.areas import PODS
from weighbridge.steps.weights.rehearsal import pod_labels

AREA = PODS.name


@dataclass
class FromPods:
    environment: Environment
    probes: Probes
    say: Callable[[str], None]
    ways: Mapping[str, Sequence[Stage]]
    """By URL of a source's server: the stages of the connection from here."""
    bound: Mapping[str, bool]
    """By claim name: whether it is bound."""
    policies: Sequence[Object] | None
    """``None``: they could not be read."""
    unread: Callable[[str, str, ForbiddenError], Finding]
    found: list[Finding] = field(default_factory=list)

    def look(self, *, asked: bool) -> list[Finding]:
        """``asked``: whether pods may be started. Runs in the caller's thread: Ctrl-C reaches it, and pods are cleaned up."""
        judged: set[tuple[str, tuple[str, ...]]] = set()
        for model in self.environment.models:
            report = self._probed(model) if asked else None
            self._policies_for(model, report, judged)
        if not asked:
            self.found.append(
                warn(
                    AREA,
                    "from pods",
                    "not looked at without --pods: image pull, scheduling, volume, the way to the source",
                    f"weighbridge doctor {self.environment.name} --pods",
                )
            )
        return self.found

    def _probed(self, model: Model) -> PodReport | None:
        name = claim_of(self.environment, model)
        bound = self.bound.get(name, False)
        subject = f"pod of {model.id}"
        self.say(f"what a pod of {model.id} finds")
        report = self.probes.pod(model, volume=bound)
        if report.skipped is not None:
            error = report.skipped
            self.found.append(
                self.unread(AREA, subject, error)
                if isinstance(error, ForbiddenError)
                else not_looked_at(AREA, subject, " ".join(error.what.split()), error.remedy)
            )
            return None
        if report.error is not None:
            self.found.append(of_error(AREA, subject, report.error))
            return report
        self.found.append(ok(AREA, subject, "image pulled, scheduled, ran and ended"))
        remedies = model.source.chosen.remedies
        lines = reach.judge_stages(AREA, subject, report.stages, remedies, from_pod=True)
        self.found += [line if len(model.routes) == 1 else _softened(line) for line in lines]
        if not bound:
            self.found.append(
                not_looked_at(AREA, f"{subject}: volume", f"claim {name} is not there and bound yet")
            )
        return report

    def _policies_for(
        self, model: Model, report: PodReport | None, judged: set[tuple[str, tuple[str, ...]]]
    ) -> None:
        """Judge the policies for a model that pods fetch. The same words for the same server are printed once."""
        if Route.FETCH not in model.routes or self.policies is None:
            return
        server = model.source.chosen.server
        if server is None:
            return
        stages = report.stages if report and report.stages else self.ways.get(server, ())
        target, port = self._near(server)
        lines = network.judge_egress(
            self.policies,
            pod_labels(self.environment, model),
            target,
            reach.addresses(stages),
            port,
            only_way=model.routes == (Route.FETCH,),
            reached=None if report is None or report.error else reach.reached(report.stages),
        )
        key = (target, tuple(line.said for line in lines))
        if key not in judged:
            judged.add(key)
            self.found += lines

    def _near(self, server: str) -> tuple[str, int]:
        """Return what pods connect to: the server, or the proxy before it."""
        parts = urlsplit(server)
        wanted = self.environment.proxy
        settings = ProxySettings(no_proxy=())
        if wanted is not None:
            settings = ProxySettings(wanted.http, wanted.https, wanted.no_proxy)
        try:
            proxy = proxy_for(parts.scheme, parts.hostname or "", settings, {}, parts.port)
        except RefusedError:
            proxy = None
        if proxy is not None:
            return f"{proxy.host}:{proxy.port}", proxy.port
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"{parts.hostname}:{port}", port


def _softened(line: Finding) -> Finding:
    """Lower a failure to a warning if another route remains. A failure of the volume stays: both routes need it."""
    if line.level is not Level.FAIL or line.name.endswith(": volume"):
        return line
    return replace(line, level=Level.WARN)
