"""The cluster of a resource, and a connection to it. Credentials never become inputs: a resource names a context and
the UID of namespace ``kube-system``, and any other cluster is refused.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from weighbridge.domain.stacks import CONTEXT_VARIABLE, IN_CLUSTER_VARIABLE
from weighbridge.environment.home import at_home
from weighbridge.errors import PreconditionError
from weighbridge.processes.variables import USUAL_KUBECONFIG

if TYPE_CHECKING:
    from weighbridge.kubernetes.client import Kube

_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True, slots=True)
class Connection:
    """A reference to a cluster."""

    context: str | None
    in_cluster: bool = False

    def as_run(self) -> "Connection":
        """Return the same cluster, reached in the way that this process was told at its start."""
        if os.environ.get(IN_CLUSTER_VARIABLE) == "true":
            return Connection(None, in_cluster=True)
        return Connection(chosen) if (chosen := context_of_run()) else self


def context_of_run() -> str | None:
    """Return the context that this process was told to use at its start."""
    return os.environ.get(CONTEXT_VARIABLE)


def refuse_other_cluster(where: str, actual: str, meant: str, whose: str) -> None:
    """Raise ``PreconditionError`` if ``actual`` is not the ``meant`` cluster. ``whose``: for example ``these registrations``."""
    if actual != meant:
        raise PreconditionError(
            f"{where} is cluster {actual}, but {whose} belong to cluster {meant}",
            remedy="choose the context of that cluster, or another stack for this one",
            code="other-cluster",
        )


@lru_cache
def open_kube(connection: Connection) -> "Kube":
    """Return a connection, the same one each time."""
    import weighbridge.denied  # noqa: F401, PLC0415 - so that a refused write names the missing rule
    from weighbridge.kubernetes.client import connect  # noqa: PLC0415  after the port was printed

    return connect(context=connection.context, in_cluster=connection.in_cluster or _in_a_pod(connection))


def _in_a_pod(connection: Connection) -> bool:
    """Return whether no context is named and there is no kubeconfig, but a service account. kubectl then uses that account."""
    if connection.context is not None or os.environ.get("KUBECONFIG"):
        return False
    return not _is_file(at_home(USUAL_KUBECONFIG)) and _is_file(_TOKEN)


def _is_file(path: Path) -> bool:
    """Return whether it is a file; false also if the folder may not be read."""
    try:
        return path.is_file()
    except OSError:
        return False


@lru_cache
def identity(kube: "Kube") -> str:
    """Return the UID of namespace ``kube-system``."""
    return kube.identity()
