"""The area of the registration in ``doctor``."""

from typing import Final

from weighbridge.core.examination import Area, Phase

REGISTRATION: Final = Area("registration", Phase.SERVED)
