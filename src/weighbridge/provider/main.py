"""``pulumi-resource-weighbridge``: the process that Pulumi's engine starts, once or twice a command.

Of Pulumi's SDK it needs the messages, and nothing else. Python would import the whole SDK with them, because they lie in a
package of it, and that is half of what this process costs to start.
"""

import importlib.util
import sys
from typing import Final

_PACKAGES: Final = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def without_sdk() -> None:
    """From here on the packages around Pulumi's messages are empty in this process: what lies in them is found, nothing of
    their own is run.
    """
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None:
            sys.modules[name] = importlib.util.module_from_spec(spec)


def main() -> None:
    """Serve until the engine ends."""
    without_sdk()
    from weighbridge.provider import serving  # noqa: PLC0415 - imports the messages

    serving.main()
