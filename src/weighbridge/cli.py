"""argv → one call → what is printed → the exit code. The only owner of ``print`` and ``sys.exit``."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, Protocol

from weighbridge import at_start
from weighbridge.core.step import Request
from weighbridge.domain.digest import Json
from weighbridge.domain.lease import Turn
from weighbridge.domain.visible import error_lines, json_text, visible, visible_lines
from weighbridge.errors import (
    InputError,
    InputErrors,
    InterruptedByUserError,
    PreconditionError,
    WeighbridgeError,
)
from weighbridge.steps import STEPS
from weighbridge.wiring import Opened, checked, granted, opened

if TYPE_CHECKING:
    from weighbridge.grants import Subject

OK, DEFECT, CHANGES_PENDING, INTERRUPTED = 0, 1, 6, 130

_LONGEST_WAIT = 7 * 24 * 3600
"""Seconds."""

EPILOG = """\
exit codes:
  0    fine
  1    a defect of weighbridge
  2    wrong input, found without the network: file, line, what to write instead
  3    refused after looking at the cluster, the source or the platform
  4    a step failed; what succeeded stays, and the same command goes on from there
  5    stored bytes are not the source's bytes
  6    changes are pending (plan --expect-no-changes)
  130  interrupted

ENV is a name (environments/NAME.yaml) or the path of an environment file.
Progress goes to standard error, results to standard output.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line; ``docs/cli.md`` is generated from it."""
    top = argparse.ArgumentParser(
        prog="weighbridge",
        description="Bring your own model to IBM watsonx.ai software: one file, one command, proof, and a way back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    _verb(verbs, "check", "read the environment file and say everything that is wrong with it; no network")
    render = _verb(verbs, "render", "write the manifests and the playbooks' variables as files")
    render.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to write to (default: var/render/ENV)"
    )
    plan = _verb(verbs, "plan", "show bytes to move and objects to change; writes nothing, starts no pod")
    plan.add_argument("--expect-no-changes", action="store_true", help="exit 6 where anything is pending")
    apply = _verb(verbs, "apply", "make it so, and prove it; a second run changes nothing")
    for verb in (plan, apply):
        verb.add_argument(
            "--adopt",
            action="append",
            default=[],
            metavar="MODEL_ID",
            help="take over an entry of this id that somebody else wrote",
        )
    apply.add_argument(
        "--plan-digest",
        metavar="DIGEST",
        help="do nothing that the plan with this digest did not show; what has been done since is no hindrance",
    )
    verify = _verb(verbs, "verify", "read every byte of the published weights again, in the cluster")
    groups = tuple(dict.fromkeys(step.only for step in STEPS))
    for verb in (plan, apply, verify):
        verb.add_argument(
            "--only",
            choices=groups,
            metavar="GROUP",
            help=f"the steps of one group alone: {' or '.join(groups)} (weights any day, the switch in the change window)",
        )
    _verb(verbs, "status", "what is in place, read with GET alone")
    doctor = _verb(
        verbs,
        "doctor",
        "look at everything that an apply needs, and say what is missing; writes nothing to the cluster without --pods",
    )
    doctor.add_argument(
        "--pods",
        action="store_true",
        help="also start a short-lived pod for each model: image, scheduling, volume, the way to the source",
    )
    doctor.add_argument(
        "--request",
        type=Path,
        metavar="FILE",
        help="where what to ask of the cluster's administrators is written (default: var/doctor/ENV-request.md, if there is anything)",
    )
    rbac = _verb(
        verbs, "rbac", "write the Roles that this environment needs, and a policy for its pods; no network"
    )
    rbac.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: var/rbac/ENV)")
    whom = rbac.add_mutually_exclusive_group()
    whom.add_argument(
        "--service-account",
        metavar="NAMESPACE:NAME",
        help="bind them to this existing account (default: one of the environment's own is made)",
    )
    whom.add_argument("--group", metavar="NAME", help="bind them to this group of users")
    destroy = _verb(verbs, "destroy", "take our registrations out; volumes and weights stay")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    destroy.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="CLAIM",
        help="delete this PersistentVolumeClaim too; name every one that the environment or its state holds",
    )
    for verb in (apply, verify, destroy):
        verb.add_argument(
            "--wait",
            type=_seconds,
            default=0.0,
            metavar="SECONDS",
            help="how long to wait where another run holds the environment (default: refuse at once)",
        )
        verb.add_argument(
            "--take-over",
            action="store_true",
            help="dangerous: stop the run that holds the environment and take its place, and say by it that no earlier run goes"
            " on anywhere else",
        )
    return top


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("environment", metavar="ENV", help="a name, or the path of an environment file")
    verb.add_argument(
        "--json",
        action="store_true",
        help="one JSON object on standard output, JSON lines of progress on standard error",
    )
    verb.add_argument("--verbose", "-v", action="store_true", help="say more: each file with its digest")
    return verb


def main() -> NoReturn:
    """Entry point of the console script."""
    at_start.armed()
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _interrupted)
    sys.exit(run(sys.argv[1:]))


class Opener(Protocol):
    """Opens an environment: ``wiring.opened``."""

    def __call__(self, name_or_path: str, stream: IO[str], *, as_json: bool, verbose: bool) -> Opened: ...


def run(argv: Sequence[str], opener: Opener = opened) -> int:
    """One call of the command line; the exit code."""
    arguments = parser().parse_args(argv, argparse.Namespace(opener=opener))
    try:
        return _VERBS[arguments.verb](arguments)
    except WeighbridgeError as error:
        _print_error(error, as_json=arguments.json)
        return error.exit_code
    except KeyboardInterrupt:
        interrupted = InterruptedByUserError(
            "interrupted", remedy="the same command goes on where this one stopped"
        )
        _print_error(interrupted, as_json=arguments.json)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DEFECT


def _check(arguments: argparse.Namespace) -> int:
    loaded = checked(arguments.environment)
    environment = loaded.environment
    for warning in loaded.warnings:
        print(visible_lines(f"warning: {warning}"), file=sys.stderr)
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
    _result(arguments, message, f"{loaded.path}: fine. Environment {environment.name}, models {models}.")
    return OK


def _render(arguments: argparse.Namespace) -> int:
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
    _result(arguments, message, "\n".join(lines))
    return OK


def _plan(arguments: argparse.Namespace) -> int:
    from weighbridge import messages, screens  # noqa: PLC0415  only what looks needs them

    with _open(arguments) as opened_:
        plan = opened_.session.plan(_request(arguments))
    _result(arguments, messages.plan_message(plan), screens.plan_screen(plan, arguments.environment))
    return CHANGES_PENDING if plan.pending and arguments.expect_no_changes else OK


def _apply(arguments: argparse.Namespace) -> int:
    from weighbridge import messages, screens  # noqa: PLC0415
    from weighbridge.mover.report import peak_memory  # noqa: PLC0415

    with _open(arguments) as opened_:
        applied = opened_.session.apply(_request(arguments), _turn(arguments), arguments.plan_digest)
    rss = peak_memory()
    _result(
        arguments,
        messages.applied_message(applied, rss),
        screens.applied_screen(applied, arguments.environment, rss),
    )
    return applied.exit_code


def _verify(arguments: argparse.Namespace) -> int:
    from weighbridge import messages, screens  # noqa: PLC0415

    with _open(arguments) as opened_:
        verified = opened_.session.verify(_request(arguments), _turn(arguments))
        name = opened_.environment.name
    _result(
        arguments,
        messages.verified_message(verified, name),
        screens.verified_screen(verified, arguments.environment),
    )
    return verified.exit_code


def _status(arguments: argparse.Namespace) -> int:
    from weighbridge import messages, screens  # noqa: PLC0415

    with _open(arguments) as opened_:
        status = opened_.session.status()
        name = opened_.environment.name
    _result(arguments, messages.status_message(status, name), screens.status_screen(status))
    return OK


def _doctor(arguments: argparse.Namespace) -> int:
    from weighbridge import messages, screens  # noqa: PLC0415
    from weighbridge.doctor.made import write_request  # noqa: PLC0415

    with _open(arguments) as opened_:
        diagnosis = opened_.diagnose(pods=arguments.pods)
        written = write_request(opened_.environment, diagnosis, arguments.request, opened_.var)
    _result(
        arguments,
        messages.diagnosed_message(diagnosis, written),
        screens.diagnosed_screen(diagnosis, written),
    )
    return diagnosis.exit_code


def _rbac(arguments: argparse.Namespace) -> int:
    from weighbridge import messages, screens  # noqa: PLC0415

    loaded = checked(arguments.environment)
    grants, written = granted(loaded, _subject(arguments), arguments.out)
    _result(arguments, messages.rbac_message(grants, written), screens.rbac_screen(grants, written))
    return OK


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


def _destroy(arguments: argparse.Namespace) -> int:
    from weighbridge import messages, screens  # noqa: PLC0415

    request = Request(typed=frozenset(arguments.weights), named=arguments.environment)
    with _open(arguments) as opened_:
        name = opened_.environment.name
        _ask(opened_, request, sure=arguments.yes)
        destroyed = opened_.session.destroy(request, _turn(arguments))
    _result(
        arguments,
        messages.destroyed_message(destroyed, name),
        screens.destroyed_screen(destroyed),
    )
    return OK


def _ask(opened_: Opened, request: Request, *, sure: bool) -> None:
    if sure:
        return
    environment = opened_.environment
    parts = (step.would_destroy(environment, request) for step in reversed(STEPS))
    what = " and ".join(part for part in parts if part is not None)
    if not sys.stdin.isatty():
        raise InputError(
            f"destroy would {what}, and nobody is there to ask", remedy="say --yes", code="not-confirmed"
        )
    prompt = visible(f"This will {what}. Type the environment's name to go on: ")
    print(prompt, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != environment.name:
        raise PreconditionError("not confirmed; nothing was changed", code="not-confirmed")


def _request(arguments: argparse.Namespace) -> Request:
    return Request(
        adopt=frozenset(getattr(arguments, "adopt", ())), only=arguments.only, named=arguments.environment
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {_LONGEST_WAIT}")
    return seconds


def _turn(arguments: argparse.Namespace) -> Turn:
    return Turn(wait=arguments.wait, take_over=arguments.take_over)


def _open(arguments: argparse.Namespace) -> Opened:
    open_: Opener = arguments.opener
    return open_(arguments.environment, sys.stderr, as_json=arguments.json, verbose=arguments.verbose)


def _result(arguments: argparse.Namespace, message: Json, screen: str) -> None:
    print(json_text(message) if arguments.json else visible_lines(screen), flush=True)


def _print_error(error: WeighbridgeError, *, as_json: bool) -> None:
    if as_json:
        from weighbridge import messages  # noqa: PLC0415

        print(json_text(messages.error_message(error)), flush=True)
        return
    errors: tuple[WeighbridgeError, ...] = error.errors if isinstance(error, InputErrors) else (error,)
    for item in errors:
        print(visible_lines(f"weighbridge: {_with_excerpt(item)}"), file=sys.stderr)


def _with_excerpt(error: WeighbridgeError) -> str:
    """The error, and below its first line the line of the file that it is about."""
    from weighbridge.environment.file import excerpt  # noqa: PLC0415

    seen = excerpt(error) if isinstance(error, InputError) else None
    lines = error_lines(error)
    at = next((at for at, line in enumerate(lines) if line.startswith("  → ")), len(lines))
    return "\n".join([*lines[:at], *([seen] if seen else []), *lines[at:]])


def _interrupted(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "check": _check,
    "render": _render,
    "plan": _plan,
    "apply": _apply,
    "verify": _verify,
    "status": _status,
    "destroy": _destroy,
    "doctor": _doctor,
    "rbac": _rbac,
}
