"""What a step's adapters are made from: the parts that ``wiring.py`` has of one opened environment."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from weighbridge.environment.secrets import Secrets
from weighbridge.environment.types import Environment
from weighbridge.processes.variables import Outside

if TYPE_CHECKING:  # heavy imports: done where the objects are made
    from weighbridge.core.events import Observer
    from weighbridge.engines.pulumi.stacks import PulumiStacks
    from weighbridge.engines.pulumi.state import State
    from weighbridge.kubernetes.client import Kube
    from weighbridge.kubernetes.cluster import ClusterFacts
    from weighbridge.kubernetes.lease import LeaseLock
    from weighbridge.manifests.surroundings import Surroundings


class Workshop(Protocol):
    """One opened environment. Each part is made at its first use, and only once."""

    @property
    def environment(self) -> Environment: ...

    @property
    def observer(self) -> "Observer": ...

    @property
    def folder(self) -> Path:
        """The folder where relative paths of the environment file start."""
        ...

    @property
    def var(self) -> Path:
        """Journals, spool and caches of this machine; may be lost at any time."""
        ...

    @property
    def closes(self) -> ExitStack:
        """For objects with connections: they are closed with the environment."""
        ...

    @property
    def secrets(self) -> Secrets: ...

    @property
    def ca_bundle(self) -> Path | None: ...

    @property
    def outside(self) -> Outside:
        """Proxy and trust for every child and every connection of ours, and the variables that hold secrets."""
        ...

    @property
    def kube(self) -> "Kube": ...

    def kube_for(self, stack: str | None) -> "Kube":
        """Return the connection for a stack (``cluster.contexts``), or for what belongs to no stack."""
        ...

    @property
    def cluster(self) -> "ClusterFacts": ...

    @property
    def lock(self) -> "LeaseLock": ...

    @property
    def state(self) -> "State": ...

    @property
    def stacks(self) -> "PulumiStacks": ...

    def surroundings(self, cluster_uid: str | None) -> "Surroundings":
        """Return what playbooks get to know about this machine. With ``cluster_uid`` they refuse any other cluster."""
        ...
