"""What each verb of the command line does, and what it reports. Imported when a verb runs: ``--help`` needs only the names."""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Protocol

from weighbridge.domain.digest import Json
from weighbridge.domain.lease import LockRequest
from weighbridge.domain.visible import visible
from weighbridge.errors import CHANGES_PENDING, OK, InputError, PreconditionError
from weighbridge.wiring import Opened, checked, granted, opened

if TYPE_CHECKING:
    from weighbridge.core.step import Request
    from weighbridge.grants import Subject


class Opener(Protocol):
    """Opens an environment: ``wiring.opened``."""

    def __call__(self, name_or_path: str, stream: IO[str], *, as_json: bool, verbose: bool) -> Opened: ...


@dataclass(frozen=True, slots=True)
class Said:
    """The result of a verb."""

    message: Json
    """For ``--json``."""
    screen: str
    """For people."""
    exit_code: int = OK
    warnings: tuple[str, ...] = ()


def _check(arguments: argparse.Namespace) -> Said:
    loaded = checked(arguments.environment)
    environment = loaded.environment
    message: Json = {
        "type": "checked",
        "environment": environment.name,
        "file": str(loaded.path),
        "models": [model.id for model in environment.models],
        "warnings": [str(warning) for warning in loaded.warnings],
    }
    models = ", ".join(
        f"{model.id} ({' or '.join(route.value for route in model.routes)})" for model in environment.models
    )
    screen = f"{loaded.path}: fine. Environment {environment.name}, models {models}."
    return Said(message, screen, warnings=tuple(str(warning) for warning in loaded.warnings))


def _render(arguments: argparse.Namespace) -> Said:
    with _open(arguments) as opened_:
        out = arguments.out or opened_.var / "render" / opened_.environment.name
        rendered = opened_.session.render(out)
    written = [out / path for path in sorted(rendered.files)]
    for path, text in rendered.files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text, encoding="utf-8")
    message: Json = {"type": "rendered", "folder": str(out), "files": [str(path) for path in written]}
    lines = [str(path) for path in written]
    lines.append("Run a playbook on its own:")
    lines += [f"  {line}" for line in rendered.usage]
    return Said(message, "\n".join(lines))


def _plan(arguments: argparse.Namespace) -> Said:
    from weighbridge import messages, screens  # noqa: PLC0415  only the verbs that look need them

    with _open(arguments) as opened_:
        plan = opened_.session.plan(_request(arguments))
    code = CHANGES_PENDING if plan.pending and arguments.expect_no_changes else OK
    return Said(messages.plan_message(plan), screens.plan_screen(plan, arguments.environment), code)


def _apply(arguments: argparse.Namespace) -> Said:
    from weighbridge import messages, screens  # noqa: PLC0415
    from weighbridge.mover.report import peak_memory  # noqa: PLC0415

    with _open(arguments) as opened_:
        applied = opened_.session.apply(_request(arguments), _lock_request(arguments), arguments.plan_digest)
    rss = peak_memory()
    return Said(
        messages.applied_message(applied, rss),
        screens.applied_screen(applied, arguments.environment, rss),
        applied.exit_code,
    )


def _verify(arguments: argparse.Namespace) -> Said:
    from weighbridge import messages, screens  # noqa: PLC0415

    with _open(arguments) as opened_:
        verified = opened_.session.verify(_request(arguments), _lock_request(arguments))
        name = opened_.environment.name
    return Said(
        messages.verified_message(verified, name),
        screens.verified_screen(verified, arguments.environment),
        verified.exit_code,
    )


def _status(arguments: argparse.Namespace) -> Said:
    from weighbridge import messages, screens  # noqa: PLC0415

    with _open(arguments) as opened_:
        status = opened_.session.status()
        name = opened_.environment.name
    return Said(messages.status_message(status, name), screens.status_screen(status))


def _size(arguments: argparse.Namespace) -> Said:
    from weighbridge import messages, screens, sized  # noqa: PLC0415
    from weighbridge.processes.at_once import AT_ONCE, at_once  # noqa: PLC0415
    from weighbridge.sizing.precision import Precision  # noqa: PLC0415

    asked = sized.Asked(
        precision=Precision(arguments.precision) if arguments.precision else None,
        parameters=arguments.parameters,
        adapters_mb=tuple(arguments.adapter),
        gpu_gb=arguments.gpu,
        tokens=arguments.tokens,
        sequences=arguments.sequences,
    )
    with _open(arguments) as opened_:
        models = sized.selected(opened_.environment.models, arguments.model)
        seen = at_once(opened_.port(sized.MEASURES), models, AT_ONCE)
        found = tuple(sized.size(model, one, asked) for model, one in zip(models, seen, strict=True))
    return Said(messages.sized_message(found), screens.sized_screen(found))


def _doctor(arguments: argparse.Namespace) -> Said:
    from weighbridge import messages, screens  # noqa: PLC0415
    from weighbridge.doctor.made import write_request  # noqa: PLC0415

    with _open(arguments) as opened_:
        diagnosis = opened_.diagnose(pods=arguments.pods)
        written = write_request(opened_.environment, diagnosis, arguments.request, opened_.var)
    return Said(
        messages.diagnosed_message(diagnosis, written),
        screens.diagnosed_screen(diagnosis, written),
        diagnosis.exit_code,
    )


def _rbac(arguments: argparse.Namespace) -> Said:
    from weighbridge import messages, screens  # noqa: PLC0415

    loaded = checked(arguments.environment)
    grants, written = granted(loaded, _subject(arguments), arguments.out)
    return Said(messages.rbac_message(grants, written), screens.rbac_screen(grants, written))


def _subject(arguments: argparse.Namespace) -> "Subject | None":
    from weighbridge.grants import Subject  # noqa: PLC0415

    if arguments.group:
        return Subject(group=arguments.group)
    if not arguments.service_account:
        return None
    namespace, colon, name = arguments.service_account.partition(":")
    if not (namespace and colon and name):
        raise InputError(
            f"--service-account {arguments.service_account} is not NAMESPACE:NAME",
            remedy="write the account's namespace, a colon and its name",
            code="account-syntax",
        )
    return Subject(account=(namespace, name))


def _destroy(arguments: argparse.Namespace) -> Said:
    from weighbridge import messages, screens  # noqa: PLC0415
    from weighbridge.core.step import Request  # noqa: PLC0415

    request = Request(typed=frozenset(arguments.weights), named=arguments.environment)
    with _open(arguments) as opened_:
        name = opened_.environment.name
        _ask(opened_, request, sure=arguments.yes)
        destroyed = opened_.session.destroy(request, _lock_request(arguments))
    return Said(
        messages.destroyed_message(destroyed, name),
        screens.destroyed_screen(destroyed),
    )


def _ask(opened_: Opened, request: "Request", *, sure: bool) -> None:
    from weighbridge.steps import STEPS  # noqa: PLC0415

    if sure:
        return
    environment = opened_.environment
    parts = (step.would_destroy(environment, request) for step in reversed(STEPS))
    what = " and ".join(part for part in parts if part is not None)
    if not sys.stdin.isatty():
        raise InputError(
            f"destroy would {what}, and nobody is there to ask", remedy="say --yes", code="not-confirmed"
        )
    sys.stderr.write(visible(f"This will {what}. Type the environment's name to go on: "))
    sys.stderr.flush()
    if sys.stdin.readline().strip() != environment.name:
        raise PreconditionError("not confirmed; nothing was changed", code="not-confirmed")


def _request(arguments: argparse.Namespace) -> "Request":
    from weighbridge.core.step import Request  # noqa: PLC0415

    return Request(
        adopt=frozenset(getattr(arguments, "adopt", ())), only=arguments.only, named=arguments.environment
    )


def _lock_request(arguments: argparse.Namespace) -> LockRequest:
    return LockRequest(wait=arguments.wait, take_over=arguments.take_over)


def _open(arguments: argparse.Namespace) -> Opened:
    open_: Opener = arguments.opener or opened
    return open_(arguments.environment, sys.stderr, as_json=arguments.json, verbose=arguments.verbose)


VERBS: Final[Mapping[str, Callable[[argparse.Namespace], Said]]] = {
    "check": _check,
    "render": _render,
    "plan": _plan,
    "apply": _apply,
    "verify": _verify,
    "status": _status,
    "destroy": _destroy,
    "doctor": _doctor,
    "rbac": _rbac,
    "size": _size,
}
