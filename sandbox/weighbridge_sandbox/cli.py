"""The command `weighbridge-sandbox`: argv in, exit code out; the only owner of print and sys.exit."""

import argparse
import importlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from weighbridge_sandbox import lifecycle, shell_env, status
from weighbridge_sandbox.errors import SandboxError
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.progress import JsonProgress, Progress, ScreenProgress

INTERRUPTED = 130
DEFECT = 1
NOT_UP = 4

VERBS = {
    "up": "build what is missing, start everything, wait until it is ready; repeatable",
    "status": "every process, its restarts and, if it does not run, its log's end (exit 4 unless all is up)",
    "down": "stop everything; leaves no process, mount, loop device, bridge or namespace; keeps the data",
    "reset": "down, then remove all data but the built tools",
    "env": "print shell exports: KUBECONFIG, PATH, S3 endpoint, where credentials lie",
}


GRANT = (
    "play the platform's administrator: apply the Roles and the policy that `weighbridge rbac` writes for an environment "
    "file, and put a login under them into the kubeconfig, as the context that the file names"
)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(prog="weighbridge-sandbox", description=__doc__, allow_abbrev=False)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in VERBS.items():
        one = verbs.add_parser(verb, help=text, description=text, allow_abbrev=False)
        one.add_argument(
            "--json", action="store_true", help="speak JSON: progress on stderr, the result on stdout"
        )
    one = verbs.add_parser("grant", help=GRANT, description=GRANT, allow_abbrev=False)
    one.add_argument("--json", action="store_true", help="speak JSON")
    one.add_argument("file", type=Path, metavar="FILE", help="an environment file")
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, _interrupt)
    sys.exit(call(sys.argv[1:] if argv is None else argv))


def call(argv: Sequence[str]) -> int:
    """Do what argv asks; returns the exit code: 0, 3 refused after looking, 4 failed or not up, 130 interrupted."""
    chosen = parser().parse_args(argv)
    layout = Layout.from_environment()
    progress: Progress = JsonProgress() if chosen.json else ScreenProgress()
    try:
        if chosen.verb == "grant":
            return _grant(chosen.file, layout, as_json=chosen.json)
        return _do(chosen.verb, layout, progress, as_json=chosen.json)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        progress.say("Interrupted. Nothing is lost: run the same command again and it goes on.")
        return INTERRUPTED
    except SandboxError as error:
        progress.say(str(error))
        if error.advice:
            progress.say(error.advice)
        if chosen.json:
            print(json.dumps({"error": str(error), "advice": error.advice, "exit": error.exit_code}))
        return error.exit_code


def _do(verb: str, layout: Layout, progress: Progress, *, as_json: bool) -> int:
    if verb == "env":
        print(json.dumps(shell_env.as_json(layout)) if as_json else shell_env.exports(layout), end="")
        return 0
    if verb == "status":
        found = status.look(layout)
        print(json.dumps(found.as_json(), indent=2) if as_json else "\n".join(status.as_lines(found)))
        return 0 if found.state == "up" else NOT_UP
    started = time.monotonic()
    {"up": lifecycle.up, "down": lifecycle.down, "reset": lifecycle.reset}[verb](layout, progress)
    seconds = time.monotonic() - started
    if as_json:
        print(json.dumps({"verb": verb, "seconds": round(seconds, 1), "home": str(layout.home)}))
        return 0
    progress.say(f"{seconds:7.1f} s  {verb} in all")
    if verb == "up":
        for line in lifecycle.describe(layout):
            print(line)
    return 0


def _grant(file: Path, layout: Layout, *, as_json: bool) -> int:
    grants = importlib.import_module("weighbridge_sandbox.grants").grant_file(file, home=layout.home)
    context, rules = grants.environment.cluster.context, len(grants.rules)
    told = {"context": context, "rules": rules, "subject": str(grants.subject)}
    print(
        json.dumps(told)
        if as_json
        else f"context {context}: {rules} rules and one policy for {grants.subject}"
    )
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Raise here, and again every second until somebody has heard: Python drops what is raised in callbacks, such as
    those of its import locks.
    """
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    raise KeyboardInterrupt
