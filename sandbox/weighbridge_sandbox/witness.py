"""What an apply that changes nothing must leave as it was, taken from the API server and not from who applied."""

from dataclasses import dataclass

from lightkube.resources.core_v1 import Event, PersistentVolumeClaim

from weighbridge_sandbox.kube import Watsonxaiifm, answering, connect
from weighbridge_sandbox.layout import OPERANDS, Layout


@dataclass(frozen=True, slots=True)
class Witness:
    """The operands namespace at one moment."""

    versions: frozenset[tuple[str, str, str]]
    """(kind, name, resourceVersion) of every Watsonxaiifm and every claim."""
    scheduled: frozenset[str]
    """UIDs of the events that tell of a pod being placed on a node; they outlive the pods by an hour."""

    def differences(self, later: "Witness") -> list[str]:
        """What was written or started between this moment and ``later``, in words; empty if nothing was."""
        names = {f"{kind} {name}" for kind, name, _ in self.versions ^ later.versions}
        said = [f"{name} was written" for name in sorted(names)]
        if started := len(later.scheduled - self.scheduled):
            said.append(f"{started} pods were started")
        return said


def look(layout: Layout) -> Witness:
    """The operands namespace as it is now. Raises CommandError."""
    with (
        answering("Looking at the operands namespace"),
        connect(layout.home, field_manager="weighbridge-sandbox") as client,
    ):
        found = [
            *(("Watsonxaiifm", one.metadata) for one in client.list(Watsonxaiifm, namespace=OPERANDS)),
            *(("claim", one.metadata) for one in client.list(PersistentVolumeClaim, namespace=OPERANDS)),
        ]
        scheduled = [event for event in client.list(Event, namespace=OPERANDS) if event.reason == "Scheduled"]
    return Witness(
        versions=frozenset(
            (kind, str(about.name), str(about.resourceVersion)) for kind, about in found if about
        ),
        scheduled=frozenset(str(event.metadata.uid) for event in scheduled),
    )
