"""The provider's real process, started as Pulumi's engine starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.engine import Engine

PROGRAM = Path(sys.executable).parent / "pulumi-resource-weighbridge"
NOBODY = "127.0.0.1:9"
"""An engine's address where no engine listens: notes to it are lost, which is no failure."""


@dataclass(frozen=True)
class Plugin:
    process: "subprocess.Popen[str]"
    port_line: str
    seconds: float
    """From start to port."""
    engine: Engine


@contextmanager
def started(environment: Mapping[str, str] | None = None, *, address: str = NOBODY) -> Iterator[Plugin]:
    """The process, booted; ended afterwards."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [PROGRAM, address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    seconds = time.monotonic() - begun
    engine = Engine(int(line))
    try:
        engine.boot()
        yield Plugin(process, line, seconds, engine)
    finally:
        engine.close()
        process.kill()
        process.wait()
        process.stdout.close()
