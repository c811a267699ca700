"""``mover.pyz {fetch|receive|publish|verify|probe} --order FILE --volume DIR``: read arguments, run, return the exit
code.

Exit codes: 0 fine, 3 refused after looking, 4 failed, 5 verification failed, 128 + signal when stopped by one.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from . import probe
from .commands import fetch, publish_pushed, verify
from .control import Control
from .errors import FailedError, InterruptedByError, MoverError
from .order import read_order
from .pushed import receive
from .report import Reporter, Result
from .run import Run
from .volume import Volume

_VERBS = {"fetch": fetch, "receive": receive, "publish": publish_pushed, "verify": verify}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Every end, also a defect of the mover itself, writes a result line and a termination message."""
    arguments = _parser().parse_args(argv)
    if arguments.verb == "probe":
        return probe.main(
            arguments.order,
            volume=arguments.volume,
            credentials=arguments.credentials,
            ca_file=arguments.ca,
            termination=arguments.termination,
        )
    os.umask(0o002)  # the next run may have another uid of the same group
    reporter, result = Reporter(sys.stdout), Result()
    volume = Volume(arguments.volume, reporter.note)
    error: MoverError | None = None
    try:
        order = read_order(arguments.order)
        control = Control(order.limits.deadline_seconds)
        control.install()
        result.files, result.total_bytes = len(order.files), order.total_bytes
        _VERBS[arguments.verb](
            Run(
                order,
                volume,
                control,
                reporter,
                result,
                credentials=arguments.credentials,
                ca_file=arguments.ca,
            )
        )
    except MoverError as problem:
        error = problem
    except OSError as problem:
        error = volume.explain(problem)
    except Exception as problem:  # noqa: BLE001 - a defect must be reported to the pod's follower like any other failure
        traceback.print_exc()
        error = FailedError("defect", f"the mover failed by a defect of its own: {type(problem).__name__}: {problem}",
                            remedy="report it with the log above")  # fmt: skip
    reporter.result(result, error, arguments.termination)
    if isinstance(error, InterruptedByError):
        return 128 + error.signal_number
    return error.exit_code if error else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mover", description="Brings a weight set onto a volume, proves and publishes it."
    )
    parser.add_argument("verb", choices=sorted([*_VERBS, "probe"]))
    parser.add_argument("--order", required=True, metavar="FILE", help="the order, JSON")
    parser.add_argument("--volume", required=True, metavar="DIR", help="where the volume is mounted")
    parser.add_argument(
        "--credentials", metavar="DIR", help="mounted Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
    parser.add_argument("--ca", metavar="FILE", help="PEM file of further certificate authorities")
    parser.add_argument(
        "--termination", metavar="FILE", help="where the container's termination message goes"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
