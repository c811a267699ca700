"""Before anything else is imported by the console script: a Ctrl-C while modules still load ends it without a traceback.

Nothing has begun by then, so there is nothing to say; a shell reports 130, as for any interruption. ``armed`` hands Ctrl-C
back to Python once there is something that can be interrupted in an orderly way.
"""

import gc
import os
import signal
import sys
from pathlib import Path


def disarmed(program: str) -> bool:
    """Let SIGINT end the process if ``program`` is our console script. One that is ignored (a job in the background) stays so."""
    ours = (
        Path(program).name == "weighbridge" and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return ours


def armed() -> None:
    """From here on SIGINT raises ``KeyboardInterrupt``."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


disarmed(sys.argv[0] if sys.argv else "")

# Python looks for garbage whenever there are 700 objects more. Modules that load make hundreds of thousands, and none is garbage.
gc.set_threshold(100_000)

# pydantic would look through every installed package for plugins of its own. We have none, and want nobody's.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
