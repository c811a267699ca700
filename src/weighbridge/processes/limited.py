"""Login helpers, ended with their children once they are past their time: those that we start, and those that programs start which
wait for ever (kubectl, Pulumi, Ansible). Such a program is given ``helper_deadline.py`` for the helper's command.
"""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from weighbridge.processes.orphans import end_session

_OUTPUT_BYTES: Final = 1 << 20
_SAID: Final = 300
_OF_LINES: Final = 8 * 1024
"""Characters of a helper's last lines that are looked through, more than are told: a secret is not cut in two."""
_BARE: Final = (sys.executable, "-I", "-S", str(Path(__file__).with_name("helper_deadline.py")))


def with_deadline(command: Sequence[str], seconds: float, hint: str) -> list[str]:
    """A command that does as ``command`` does, and is over in ``seconds``. ``hint``: what to do where the program is missing."""
    return [*_BARE, f"{seconds:g}", hint, *command]


def without_deadline(command: Sequence[str]) -> tuple[str, ...]:
    """What ``with_deadline`` was given: who has a deadline of its own starts the helper itself, and names it."""
    of_ours = tuple(command[: len(_BARE)]) == _BARE
    return tuple(command[len(_BARE) + 2 :] if of_ours else command)


def run_limited(
    command: Sequence[str], env: Mapping[str, str], seconds: float, stdin: int | None = subprocess.DEVNULL
) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and error, a megabyte of each at the most. ``TimeoutError`` once it is past its time, after it was
    killed with its children. What it leaves running on purpose is not waited for. ``stdin``: ``None`` hands on our own.
    """
    until = time.monotonic() + seconds
    process = subprocess.Popen(
        command, env=dict(env), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - as asked for
    assert process.stderr is not None  # noqa: S101
    said: dict[int, bytearray] = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, err = said
    with process, selectors.DefaultSelector() as ready:
        try:
            for stream in said:
                ready.register(stream, selectors.EVENT_READ)
            while ready.get_map():
                ended = process.poll() is not None
                events = ready.select(0.05 if ended else min(0.25, max(0.0, until - time.monotonic())))
                for each, _ in events:
                    part = os.read(each.fd, 65536)
                    said[each.fd] += part[: _OUTPUT_BYTES - len(said[each.fd])]
                    if not part:
                        ready.unregister(each.fd)
                if ended and not events:
                    break
                if time.monotonic() >= until:
                    break
            code = process.wait(max(0.0, until - time.monotonic()))
        except BaseException as error:
            end_session(process.pid, 0)
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError from error
            raise
    return code, bytes(said[out]), bytes(said[err])


def last_words(err: bytes, env: Mapping[str, str], further: Iterable[str] = ()) -> str:
    """What a helper said last, as it may be told: it may print what it was given in ``env``, and what it got. ``further``: secrets."""
    from weighbridge.environment.secret_shapes import masked_words, names_a_secret  # noqa: PLC0415 - few say anything
    from weighbridge.mover.secret_text import told  # noqa: PLC0415

    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    secrets = [*further, *(value for name, value in env.items() if names_a_secret(name))]
    return masked_words(told(" / ".join(lines[-3:]), secrets, limit=_OF_LINES))[:_SAID]
