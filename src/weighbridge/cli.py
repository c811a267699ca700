"""Read arguments, make one call, print its result, return the exit code. Only this module uses ``print`` and
``sys.exit``.

What a verb needs is imported when the verb runs (``verbs.py``), so that ``--help`` loads only the parser.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from weighbridge import at_start
from weighbridge.domain.visible import error_lines, json_text, visible_lines
from weighbridge.errors import (
    DEFECT,
    INTERRUPTED,
    InputError,
    InputErrors,
    InterruptedByUserError,
    WeighbridgeError,
)

if TYPE_CHECKING:
    from weighbridge.verbs import Opener, Said

_LONGEST_WAIT = 7 * 24 * 3600
"""Seconds."""

SHELLS = ("bash", "zsh", "tcsh")
_LARGEST = 10**15
N = TypeVar("N", int, float)

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

EXAMPLES = {
    "check": ("weighbridge check stage",),
    "render": ("weighbridge render stage --out rendered",),
    "plan": ("weighbridge plan stage", "weighbridge plan stage --json --expect-no-changes   # in a pipeline"),
    "apply": (
        "weighbridge apply stage",
        "weighbridge apply stage --only weights      # bring the weights in today, register them later",
        "weighbridge apply stage --plan-digest DIGEST   # nothing beyond the plan that was approved",
    ),
    "verify": ("weighbridge verify stage",),
    "size": (
        "weighbridge size stage",
        "weighbridge size stage example-13b --adapter 128 --adapter 128 --tokens 8192 --sequences 16",
        "weighbridge size stage example-13b --precision 4-bit   # were it quantized",
    ),
    "status": ("weighbridge status stage --json",),
    "doctor": ("weighbridge doctor stage --pods",),
    "rbac": ("weighbridge rbac stage --service-account pipelines:deployer",),
    "destroy": (
        "weighbridge destroy stage",
        "weighbridge destroy stage --yes --weights stage-example-13b-weights",
    ),
}
"""Commands for newcomers to copy; ``stage`` is ``environments/stage.yaml``."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; ``docs/cli.md`` is generated from it."""
    top = argparse.ArgumentParser(
        prog="weighbridge",
        description="Bring your own model to IBM watsonx.ai software: one file, one command, proof, and a way back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--print-completion",
        action=_Completion,
        choices=SHELLS,
        metavar="SHELL",
        help='print a completion script for %(choices)s; in bash: eval "$(weighbridge --print-completion bash)"',
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    _verb(verbs, "check", "read the environment file and say everything that is wrong with it; no network")
    render = _verb(verbs, "render", "write the manifests and the playbooks' variables as files")
    render.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to write to (default: var/render/ENV)"
    )
    plan = _verb(verbs, "plan", "show bytes to move and objects to change; writes nothing, starts no pod")
    plan.add_argument("--expect-no-changes", action="store_true", help="exit 6 if anything is pending")
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
    for verb in (plan, apply, verify):
        verb.add_argument(
            "--only",
            choices=_Later(_groups),
            metavar="GROUP",
            help="one part alone: %(choices)s (weights: copy and prove the bytes; switch: register the models)",
        )
    _size(verbs)
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
            help="dangerous: stop the run that holds the environment and take its place; use it only where you are sure that no"
            " other run of this environment is alive",
        )
    return top


def _size(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The verb ``size``: its options say what a model would need if it were otherwise."""
    size = _verb(
        verbs,
        "size",
        "GPUs, CPUs, memory and volume that each model needs, by IBM's formulas; reads the source",
    )
    size.add_argument("model", nargs="?", metavar="MODEL", help="one model of the file (default: every one)")
    size.add_argument(
        "--precision",
        choices=_Later(_precisions),
        metavar="BITS",
        help="%(choices)s (default: as config.json says)",
    )
    size.add_argument(
        "--parameters", type=_number, metavar="NUMBER", help="parameters (default: counted in the files)"
    )
    size.add_argument(
        "--adapter",
        type=_number,
        action="append",
        default=[],
        metavar="MB",
        help="size of a LoRA adapter beside it",
    )
    size.add_argument(
        "--gpu", type=_number, default=80, metavar="GB", help="memory of one GPU (default: %(default)s)"
    )
    size.add_argument(
        "--tokens",
        type=_number,
        metavar="NUMBER",
        help="of a sequence, for the cache (default: as registered)",
    )
    size.add_argument(
        "--sequences",
        type=_number,
        default=1,
        metavar="NUMBER",
        help="at once, for the cache (default: %(default)s)",
    )


def verbs_of(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return verb → its own parser."""
    [verbs] = [action.choices for action in top._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - argparse has no other way
    return dict(verbs)


class _Completion(argparse.Action):
    """Print the script and end."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> NoReturn:
        from weighbridge.completion import script  # noqa: PLC0415 - only needed here

        del namespace, option_string
        print(script(parser, verbs_of(parser).values(), str(values)))
        parser.exit()


class _Later:
    """The values of an option, found when they are needed: what knows them is slow to import."""

    def __init__(self, find: Callable[[], Iterable[str]]) -> None:
        self._find = find

    def __iter__(self) -> Iterator[str]:
        return iter(self._find())


def _groups() -> Iterable[str]:
    """The values of ``--only``."""
    from weighbridge.steps import STEPS  # noqa: PLC0415

    return dict.fromkeys(step.only for step in STEPS)


def _precisions() -> Iterable[str]:
    """The values of ``--precision``."""
    from weighbridge.sizing.precision import Precision  # noqa: PLC0415

    return map(str, Precision)


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog="\n".join(["examples:", *(f"  {example}" for example in EXAMPLES[name]), "", EPILOG]),
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
    arguments = parser().parse_args()
    import weighbridge.verbs  # noqa: F401, PLC0415 - while an interruption still ends it silently

    at_start.armed()
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _interrupted)
    sys.exit(_done(arguments))


def run(argv: Sequence[str], opener: "Opener | None" = None) -> int:
    """Run one command line; return the exit code. ``opener``: opens the environment; by default ``wiring.opened``."""
    return _done(parser().parse_args(argv), opener)


def _done(arguments: argparse.Namespace, opener: "Opener | None" = None) -> int:
    from weighbridge.verbs import VERBS  # noqa: PLC0415 - with all their imports

    arguments.opener = opener
    try:
        said = VERBS[arguments.verb](arguments)
        _print(said, as_json=arguments.json)
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
    return said.exit_code


def _seconds(text: str) -> float:
    return _within(text, float(text), 0, _LONGEST_WAIT)


def _number(text: str) -> int:
    return _within(text, int(text), 1, _LARGEST)


def _within(text: str, value: N, least: int, most: int) -> N:
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
    return value


def _print(said: "Said", *, as_json: bool) -> None:
    for warning in said.warnings:
        print(visible_lines(f"warning: {warning}"), file=sys.stderr)
    print(json_text(said.message) if as_json else visible_lines(said.screen), flush=True)


def _print_error(error: WeighbridgeError, *, as_json: bool) -> None:
    if as_json:
        from weighbridge import messages  # noqa: PLC0415

        print(json_text(messages.error_message(error)), flush=True)
        return
    errors: tuple[WeighbridgeError, ...] = error.errors if isinstance(error, InputErrors) else (error,)
    for item in errors:
        print(visible_lines(f"weighbridge: {_with_excerpt(item)}"), file=sys.stderr)


def _with_excerpt(error: WeighbridgeError) -> str:
    """Return the error, with the file's line in question below its first line."""
    from weighbridge.environment.file import excerpt  # noqa: PLC0415

    seen = excerpt(error) if isinstance(error, InputError) else None
    lines = error_lines(error)
    at = next((at for at, line in enumerate(lines) if line.startswith("  → ")), len(lines))
    return "\n".join([*lines[:at], *([seen] if seen else []), *lines[at:]])


def _interrupted(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
