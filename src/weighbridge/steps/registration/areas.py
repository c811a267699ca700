"""What ``doctor`` looks at of the registration."""

from typing import Final

from weighbridge.core.examination import Area, Phase

REGISTRATION: Final = Area("registration", Phase.SERVED)
