"""Paths that begin with ``~``, as a shell reads them: where that home is not known, the text stays as it is.

A pod of OpenShift's has a user without a name and often no ``HOME``; ``Path.expanduser`` raises there.
"""

import os.path
from pathlib import Path


def at_home(text: str) -> Path:
    return Path(os.path.expanduser(text))  # noqa: PTH111 - see above
