"""Translate failures of the Pulumi CLI, its engine and its providers into errors with a remedy.

Only the CLI's text tells failures apart (there are too few exit codes). So the patterns below quote fixed words of
messages of Pulumi 3.255 (``backend/diy/lock.go``, ``secrets/passphrase/manager.go``, ``resource/deploy``), of
pulumi-kubernetes 4.26 and of the Kubernetes API server.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

from pulumi.automation import CommandError, CommandResult

from weighbridge.domain.stacks import StackSpec
from weighbridge.engines.pulumi.events import Diagnostic
from weighbridge.engines.pulumi.provider_messages import decode
from weighbridge.errors import (
    DefectError,
    InterruptedByUserError,
    PreconditionError,
    StepFailedError,
    WeighbridgeError,
)
from weighbridge.kubernetes.denials import forbidden
from weighbridge.processes.process_guard import SIGNALLED


class CommandFailedError(CommandError):
    """A command of the CLI failed. Holds its output."""

    def __init__(self, result: CommandResult) -> None:
        super().__init__(result)
        self.result = result


@dataclass(frozen=True, slots=True)
class Failure:
    """Everything known about one failed command."""

    spec: StackSpec
    text: str
    """Error diagnostics, then standard error, without repetition."""
    resource: str | None
    """Logical name of the resource of the first error."""
    warnings: str = ""
    """Earlier warnings: there the Kubernetes provider says why a cluster is unreachable."""

    @property
    def where(self) -> str:
        return f"stack `{self.spec.name}` of environment `{self.spec.environment}`"


Rule: TypeAlias = Callable[[Failure], WeighbridgeError | None]

_NOISE = re.compile(
    r"^(error: |warning: |diagnostics?:|Diagnostics:|\s*pulumi:pulumi:Stack .*|\s*\* |\d+ errors? occurred:?|update failed|preview failed)+",
    re.IGNORECASE,
)
_URN = re.compile(r"urn:pulumi:[^\s\"']+::([^\s\"':]+)")
_TOKEN = re.compile(r"\b(?:kubernetes|weighbridge):[\w./]+:\w+ resource '([^']+)'")


_SHORTEST_HIDDEN = 4
"""Characters. Hiding a shorter secret would garble every message and still reveal the secret."""


def translate(
    error: CommandError, diagnostics: Sequence[Diagnostic], spec: StackSpec, hidden: Iterable[str] = ()
) -> WeighbridgeError:
    """Return our error for a failed command. ``hidden``: secrets to hide if a message quotes them."""
    errors = [heard for heard in diagnostics if heard.severity == "error"]
    written = error.result.stderr if isinstance(error, CommandFailedError) else str(error)
    text = "\n".join(dict.fromkeys([*(heard.text for heard in errors), written.strip()])).strip()
    for secret in hidden:
        text = text.replace(secret, "[secret]") if len(secret) >= _SHORTEST_HIDDEN else text
    resource = next(
        (heard.resource for heard in errors if heard.resource and "weighbridge-" not in heard.resource), None
    )
    warnings = "\n".join(heard.text for heard in diagnostics if heard.severity == "warning")
    failure = Failure(spec=spec, text=text, resource=resource, warnings=warnings)
    for rule in _RULES:
        found = rule(failure)
        if found is not None:
            return found
    code = error.result.code if isinstance(error, CommandFailedError) else 0
    if code > SIGNALLED:
        return StepFailedError(
            f"Pulumi's command line was killed (signal {code - SIGNALLED}) while {failure.where} was worked on",
            remedy="run the same command again; should it find the stack locked, that lock is of the killed process",
            code="pulumi-killed",
            transient=True,
        )
    return StepFailedError(
        f"{failure.where} failed: {sentence(text)}",
        remedy="nothing is known of this failure; the command may simply be run again",
        code="pulumi-failed",
        transient=False,
    )


def sentence(text: str) -> str:
    """Return the important part of Pulumi's message on one line: without URNs, list marks and repetition."""
    lines = [_NOISE.sub("", line).strip() for line in text.splitlines()]
    plain = [_URN.sub(r"`\1`", line) for line in lines if line]
    joined = "; ".join(dict.fromkeys(line.rstrip(";:") for line in plain if line))
    return joined if len(joined) < _LONGEST else joined[:_LONGEST] + " …"


_LONGEST = 1200


def _locked(failure: Failure) -> WeighbridgeError | None:
    if "the stack is currently locked by" not in failure.text:
        return None
    file = re.search(r"(\S+\.json): created by", failure.text)
    held = re.search(r"created by (\S+?)@(\S+) \(pid (\d+)\) at (\S+)", failure.text)
    whose = (
        f"since {held[4]} by {held[1]} on host {held[2]} (process {held[3]})"
        if held
        else "by somebody who left no name"
    )
    return PreconditionError(
        f"{failure.where} is being changed {whose}",
        remedy="wait for that run to end; if that process is certainly gone, remove its lock"
        + (f" {file[1]}" if file else "")
        + f": {cancel_command(f'weighbridge-{failure.spec.name}/{failure.spec.environment}', '<state.backend>')}",
        code="stack-locked",
    )


def cancel_command(stack: str, backend_url: str) -> str:
    """Return the command that removes every lock of ``stack`` (``PROJECT/STACK``)."""
    return f"PULUMI_BACKEND_URL='{backend_url}' pulumi cancel --yes --stack organization/{stack}"


def _passphrase(failure: Failure) -> WeighbridgeError | None:
    if "incorrect passphrase" not in failure.text:
        return None
    return PreconditionError(
        f"the passphrase does not open the state of {failure.where}",
        remedy="`state.passphrase` must name the passphrase that this state was written with",
        code="state-passphrase",
    )


_SILENT = re.compile(
    r"connection refused|no such host|i/o timeout|TLS handshake timeout|certificate signed by unknown authority"
)
"""Messages of Go's network library about a connection."""


def _backend(failure: Failure) -> WeighbridgeError | None:
    if not re.search(
        r"unable to open bucket|could not list bucket|error listing stacks|api error (AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|NoSuchBucket)|blob \(code=|unable to check if bucket|problem logging in|operation error S3:",
        failure.text,
    ):
        return None
    if _SILENT.search(failure.text):
        return StepFailedError(
            f"the server that holds the state of {failure.where} does not answer: {sentence(failure.text)}",
            remedy="run the same command again once it answers; see `state.backend` (endpoint), `proxy` and `trust`",
            code="state-unreachable",
            transient=True,
        )
    return PreconditionError(
        f"the state of {failure.where} cannot be reached: {sentence(failure.text)}",
        remedy="look at `state.backend` (bucket, endpoint, region) and `state.credentials`",
        code="state-unreachable",
    )


def plugin_remedy(kind: str) -> str:
    """Return how to get Pulumi's plugin of this kind, in the version that its SDK has here."""
    if kind == "weighbridge":
        return "it comes with Weighbridge: install the package, so that `pulumi-resource-weighbridge` lies beside `weighbridge`"
    try:
        wanted = f" {version(f'pulumi-{kind}')}"
    except PackageNotFoundError:
        wanted = ""
    return f"run: pulumi plugin install resource {kind}{wanted}"


def _plugin(failure: Failure) -> WeighbridgeError | None:
    found = re.search(r"resource plugin ['\"]?(?:pulumi-resource-)?([\w-]+?)(?:-v\d|[^\w-]|$)", failure.text)
    missing = re.search(
        r"no resource plugin|Could not automatically download|could not find|could not load plugin|not found",
        failure.text,
    )
    if not found or not missing:
        return None
    return PreconditionError(
        f"Pulumi's plugin `pulumi-resource-{found[1]}` was not found",
        remedy=plugin_remedy(found[1]),
        code="plugin-missing",
    )


def _plugin_died(failure: Failure) -> WeighbridgeError | None:
    found = re.search(r"Detected that \S*?pulumi-resource-([\w-]+) exited prematurely", failure.text)
    if not found:
        return None
    return StepFailedError(
        f"Pulumi's plugin `pulumi-resource-{found[1]}` was killed, or ended by itself, while {failure.where} was worked on",
        remedy="run the same command again; if it happens again, look for the machine's memory running out",
        code="plugin-died",
        transient=True,
    )


def _protected(failure: Failure) -> WeighbridgeError | None:
    found = re.search(
        r"(replace|delete)[^\n]*resource \"?(urn:\S+?)[\"\s][\s\S]*?protect", failure.text
    ) or re.search(
        r"()(urn:\S+?)[\"\s][^\n]*\n?[^\n]*(?:is (?:currently )?(?:marked for )?protect)", failure.text
    )
    if not found or "protect" not in failure.text:
        return None
    kind, name = _kind_and_name(found[2].rstrip('"'))
    return (
        _replacement(kind, name)
        if "replace" in failure.text
        else PreconditionError(
            f"{kind} `{name}` is protected and was kept",
            remedy=_GIVEN_UP.get(
                kind, "declare it again, or give it up by a destroy of everything it belongs to"
            ),
            code="protected",
        )
    )


def _kind_and_name(urn: str) -> tuple[str, str]:
    """Return the kind and name by which a person knows the object."""
    parts = urn.split("::")  # urn:pulumi:STACK::PROJECT::PARENT-TYPE$TYPE::NAME
    kind = parts[2].rpartition(":")[2] if len(parts) > 3 else "resource"  # noqa: PLR2004
    return _KINDS.get(kind, kind), parts[-1]


def _replacement(kind: str, name: str) -> PreconditionError:
    if kind == _CLAIM:
        return PreconditionError(
            f"claim `{name}` would have to be replaced, which would delete its weights: storage class, access mode and volume of a claim cannot be changed",
            remedy="put these settings back, or give the model a new claim; a smaller size is refused likewise",
            code="claim-replacement",
        )
    return PreconditionError(
        f"{kind} `{name}` would have to be replaced, and it is protected",
        remedy="put back the settings of it that cannot be changed, or declare it under another name",
        code="protected-replacement",
    )


_CLAIM = "claim"
_KINDS = {"PersistentVolumeClaim": _CLAIM}
_GIVEN_UP = {
    _CLAIM: "its weights are removed by `weighbridge destroy ENV --weights`, with the claim's name typed",
}
_CORRECTED = {"PersistentVolumeClaim": "correct the model's `storage` in the environment file"}


def _unreachable(failure: Failure) -> WeighbridgeError | None:
    missing = re.search(
        r"context(?: was not found for specified context)?:? \"?([^\",\]\s]+)\"?(?: does not exist|,|\])",
        failure.text + failure.warnings,
    )
    if missing:
        return PreconditionError(
            f"the kubeconfig has no context `{missing[1]}`",
            remedy="`kubectl config get-contexts` lists them; correct `cluster.context` or KUBECONFIG",
            code="context-missing",
        )
    if not re.search(r"cluster is unreachable|unreachable cluster", failure.text) and not _SILENT.search(
        failure.text
    ):
        return None
    return StepFailedError(
        f"the cluster did not answer while {failure.where} was worked on: {sentence(failure.text)}",
        remedy="run the same command again once the API server answers",
        code="cluster-unreachable",
        transient=True,
    )


def _forbidden(failure: Failure) -> WeighbridgeError | None:
    return forbidden(failure.text)


def _admission(failure: Failure) -> WeighbridgeError | None:
    found = re.search(
        r"(admission webhook \"[^\"]+\" denied the request: [^\n]+|ValidatingAdmissionPolicy '[^']+'[^\n]* denied request: [^\n]+|exceeded quota: [^\n]+|violates PodSecurity [^\n]+)",
        failure.text,
    )
    if not found:
        return None
    what = f" `{failure.resource}`" if failure.resource else ""
    return PreconditionError(
        f"the cluster refused{what}: {found[1].strip()}",
        remedy="this rule is the cluster's: change what the environment file asks for, or ask the cluster's administrators",
        code="admission-denied",
    )


def _conflict(failure: Failure) -> WeighbridgeError | None:
    found = re.search(r"conflict with \"([^\"]+)\"[^\n]*?: (\.[^\s;,]+)", failure.text)
    if not found:
        return None
    what = f" of `{failure.resource}`" if failure.resource else ""
    return PreconditionError(
        f"field {found[2]}{what} is held by `{found[1]}`",
        remedy="let that tool give the field up, or leave the field out of the environment file",
        code="field-conflict",
    )


def _invalid(failure: Failure) -> WeighbridgeError | None:
    found = re.search(r"\b([A-Z]\w+) \"([^\"]+)\" is invalid: ([^\n]+)", failure.text)
    if not found:
        return None
    return PreconditionError(
        f"the API server refuses {found[1]} `{found[2]}`: {found[3].strip()}",
        remedy=_CORRECTED.get(found[1], "correct what the environment file says of it"),
        code="object-invalid",
    )


def _property(failure: Failure) -> WeighbridgeError | None:
    found = re.search(r"resource '([^']+)': property (\S+) value .*? has a problem: ([^\n]+)", failure.text)
    if not found:
        return None
    return PreconditionError(
        f"`{found[2]}` of `{found[1]}` {found[3].strip()}",
        remedy="correct the environment file: `weighbridge check` looks at such values first",
        code="property-invalid",
    )


def _cancelled(failure: Failure) -> WeighbridgeError | None:
    if not re.search(
        r"update cancelled|preview cancelled|operation (was )?cancel+ed|SIGTERM received",
        failure.text,
        re.IGNORECASE,
    ):
        return None
    return InterruptedByUserError(
        f"the work on {failure.where} was cancelled; its state was saved",
        remedy="run the same command again to finish",
        code="cancelled",
    )


def _own_provider(failure: Failure) -> WeighbridgeError | None:
    """Return our provider's own error, which has its remedy; remove only Pulumi's wrapping."""
    return decode(failure.text) if "[weighbridge " in failure.text else None


def _program(failure: Failure) -> WeighbridgeError | None:
    if "python inline source runtime error" not in failure.text:
        return None
    last = [line for line in failure.text.splitlines() if line.strip()]
    told = next((line for line in last if "python inline source runtime error" in line), last[-1])
    return DefectError(
        f"the program of {failure.where} failed: {told.partition('runtime error:')[2].strip()}",
        remedy="this is a defect of Weighbridge: please report it with the command's output",
        code="stack-program",
    )


_RULES: tuple[Rule, ...] = (
    _own_provider,
    _locked,
    _passphrase,
    _program,
    _plugin,
    _plugin_died,
    _protected,
    _forbidden,
    _admission,
    _conflict,
    _invalid,
    _property,
    _backend,
    _unreachable,
    _cancelled,
)
"""The first rule that matches names the failure. Specific rules come before general ones."""
