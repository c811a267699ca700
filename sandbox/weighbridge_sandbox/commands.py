"""The one place where the sandbox starts programs and waits for them."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from weighbridge_sandbox.errors import CommandError, NotReadyError

# Administrators' folders, which a PATH inherited from a plain user lacks.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


def run(  # noqa: PLR0913 - a call of a program has these parts
    argv: Sequence[str | Path],
    *,
    timeout_s: float = 60,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return it with its output as text.

    Raises CommandError when it is not there, exits other than 0 (unless `check` is false), or outlives `timeout_s`.
    """
    words = [str(word) for word in argv]
    variables = dict(os.environ if env is None else env)
    variables["PATH"] = os.pathsep.join(filter(None, (variables.get("PATH"), SYSTEM_PATH)))
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            input=stdin,
            env=variables,
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise CommandError(
            f"{words[0]} is not installed.", "Run `weighbridge-sandbox up`, which brings it."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(words[:4])} … did not end within {timeout_s:.0f} s.") from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise CommandError(f"{' '.join(words[:6])} … ended with {done.returncode}: {said}")
    return done


def wait_until(what: str, ready: Callable[[], bool], *, timeout_s: float, advice: str = "") -> None:
    """Poll `ready` until it is true; raises NotReadyError naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise NotReadyError(f"{what} was not there after {timeout_s:.0f} s.", advice)
        time.sleep(0.1)
