"""Run by the console script before any other import: a Ctrl-C during the imports ends the process without a
traceback.

Nothing has started by then, so nothing is printed; a shell reports 130, as for any interruption. ``armed`` returns
Ctrl-C to Python once there is something that can be interrupted in an orderly way.
"""

import gc
import os
import signal
import sys
from pathlib import Path


def disarmed(program: str) -> bool:
    """Let SIGINT end the process if ``program`` is our console script. An ignored one (a job in the background) stays
    ignored.
    """
    ours = (
        Path(program).name == "weighbridge" and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return ours


def armed() -> None:
    """From now on, let SIGINT raise ``KeyboardInterrupt``."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


disarmed(sys.argv[0] if sys.argv else "")

# Python collects garbage after every 700 new objects. The imports create hundreds of thousands, and none of them is garbage.
gc.set_threshold(100_000)

# pydantic would search every installed package for plugins. We have none and want none of others.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
