"""The stand-in's view of the API server: custom resources by their status subresource, volumes by their claims."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lightkube import ApiError, Client
from lightkube.resources.core_v1 import PersistentVolume, PersistentVolumeClaim

from weighbridge_sandbox.kube import HTTP_CONFLICT, HTTP_NOT_FOUND, Watsonxaiifm
from weighbridge_sandbox.operator.registrations import Unusable
from weighbridge_sandbox.operator.status import Status

ATTEMPTS = 20
"""Writers of a busy object come between read and write; so many in a row would be somebody's loop."""


@dataclass(frozen=True)
class ClusterResources:
    """Watsonxaiifm objects of every namespace."""

    client: Client

    def read(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The object as JSON, or None if there is none. Raises ApiError."""
        try:
            found: dict[str, Any] = dict(self.client.get(Watsonxaiifm, name, namespace=namespace))
        except ApiError as error:
            if error.response.status_code == HTTP_NOT_FOUND:
                return None
            raise
        return found

    def write_status(self, namespace: str, name: str, change: Callable[[Mapping[str, Any]], Status]) -> bool:
        """Read, change, replace the status subresource, and again if somebody wrote in between.

        The object goes back with the resourceVersion it was read with, as ansible-operator's own Status().Update does;
        through this subresource the API server ignores whatever else it holds. Raises ApiError.
        """
        for attempt in range(ATTEMPTS):
            found = self.read(namespace, name)
            if found is None:
                return False
            before = found.get("status")
            after = change(before if isinstance(before, Mapping) else {})
            try:
                self.client.replace(
                    # lightkube's overloads leave out generic subresources
                    cast("Any", Watsonxaiifm.Status(**{**found, "status": after})),
                    name,
                    namespace=namespace,
                )
            except ApiError as error:
                if error.response.status_code == HTTP_NOT_FOUND:
                    return False
                if error.response.status_code != HTTP_CONFLICT or attempt == ATTEMPTS - 1:
                    raise
            else:
                return True
        return False


@dataclass(frozen=True)
class ClusterVolumes:
    """Files of claims, found through claim and volume on this machine, which is also the only node."""

    client: Client

    def folder(self, namespace: str, claim: str) -> Path | Unusable:
        """The root folder of the volume that ``claim`` is bound to, or why there is none. Raises ApiError."""
        what = f"PersistentVolumeClaim {claim}"
        try:
            found = self.client.get(PersistentVolumeClaim, claim, namespace=namespace)
        except ApiError as error:
            if error.response.status_code == HTTP_NOT_FOUND:
                return Unusable(f"{what} does not exist in namespace {namespace}")
            raise
        phase = found.status.phase if found.status else None
        volume_name = found.spec.volumeName if found.spec else None
        if phase != "Bound" or not volume_name:
            return Unusable(f"{what} is not bound to a volume (phase {phase or 'unknown'})")
        try:
            volume = self.client.get(PersistentVolume, volume_name)
        except ApiError as error:
            if error.response.status_code == HTTP_NOT_FOUND:
                return Unusable(f"{what} names volume {volume_name}, which does not exist")
            raise
        spec = volume.spec
        source = (spec.local or spec.hostPath) if spec else None
        if source is None:
            return Unusable(
                f"{what} is bound to {volume_name}, whose files the sandbox cannot see (not local, not hostPath)"
            )
        folder = Path(source.path)
        if not folder.is_dir():
            return Unusable(f"{what} is bound to {volume_name}, which is not mounted at the moment")
        return folder
