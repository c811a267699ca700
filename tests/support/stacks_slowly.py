"""A process that is in the middle of an update until somebody ends it: ``stacks_slowly.py NAMESPACE FOLDER``."""

import sys
import time
from pathlib import Path

from support.stacks_lab import Lab
from weighbridge.domain.stacks import StackSpec
from weighbridge_stacks import storage


def _slowly(spec: StackSpec) -> None:
    storage.declare(spec)
    Path(sys.argv[2], "in-the-middle").touch()
    time.sleep(120)


if __name__ == "__main__":
    lab = Lab(sys.argv[1], Path(sys.argv[2]))
    try:
        lab.stacks(program=_slowly).up(lab.storage(lab.claim("slow")), print)
    except KeyboardInterrupt:
        sys.exit(130)
