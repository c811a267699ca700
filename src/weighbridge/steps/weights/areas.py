"""The areas of the weights in ``doctor``: their source, the objects that bring them in, and the connection from pods."""

from typing import Final

from weighbridge.core.examination import Area, Phase

SOURCE: Final = Area("source", Phase.OUTSIDE)
ADMISSION: Final = Area("admission", Phase.MADE)
NETWORK: Final = Area("network", Phase.PODS)
PODS: Final = Area("pods", Phase.PODS, by_pods=True)
