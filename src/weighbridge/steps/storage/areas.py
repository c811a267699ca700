"""The areas of the volumes in ``doctor``."""

from typing import Final

from weighbridge.core.examination import Area, Phase

STORAGE: Final = Area("storage", Phase.MADE)
QUOTA: Final = Area("quota", Phase.MADE)
