"""What ``doctor`` looks at of the weights: their source, what would be made to bring them in, and the way from pods."""

from typing import Final

from weighbridge.core.examination import Area, Phase

SOURCE: Final = Area("source", Phase.OUTSIDE)
ADMISSION: Final = Area("admission", Phase.MADE)
NETWORK: Final = Area("network", Phase.PODS)
PODS: Final = Area("pods", Phase.PODS, by_pods=True)
