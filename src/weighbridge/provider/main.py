"""``pulumi-resource-weighbridge``: the process that Pulumi's engine starts, once or twice for each command.

It needs only the messages of Pulumi's SDK. They are in a package of the SDK, so Python would import the whole SDK
with them, which is half of this process's start time.
"""

import importlib.util
import sys
from typing import Final

_PACKAGES: Final = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def without_sdk() -> None:
    """From now on, make the packages around Pulumi's messages empty in this process: their modules are found, but no
    code of the packages themselves runs.
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
