"""Stands between a program that would wait for its login helper for ever and the helper.

Run as a script by a bare interpreter (``python -I -S helper_deadline.py SECONDS HINT COMMAND [ARGUMENT…]``). The helper gets our
standard input, environment and ``KUBERNETES_EXEC_INFO`` as they are; its answer and its exit code are passed on as they are, and
what else it says without secrets.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # a bare interpreter knows no packages
from weighbridge.processes.limited import last_words, run_limited

_ABSENT, _NOT_STARTED, _LATE, _SIGNALLED = 127, 126, 124, 128
"""Exit codes as a shell and ``timeout`` give them."""


def main(arguments: list[str]) -> int:
    seconds, hint, (name, *rest) = float(arguments[0]), arguments[1], arguments[2:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_SIGNALLED + signal.SIGTERM))
    program = shutil.which(name)
    if program is None:
        return _failed(f"{name} is not there, or no program{f' ({hint})' if hint else ''}", _ABSENT)
    try:
        code, out, err = run_limited([program, *rest], os.environ, seconds, stdin=None)
    except TimeoutError:
        return _failed(f"{name} did not answer within {seconds:g} s and was ended", _LATE)
    except (OSError, ValueError):
        return _failed(f"{name} cannot be started", _NOT_STARTED)
    if err:
        sys.stderr.write(f"{last_words(err, os.environ)}\n")
    sys.stdout.buffer.write(out)
    return code if code >= 0 else _SIGNALLED - code


def _failed(what: str, code: int) -> int:
    sys.stderr.write(f"weighbridge: the login helper {what}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
