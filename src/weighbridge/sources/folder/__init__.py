"""Weights in a folder of this machine: a laptop's disk, a mounted share, a pipeline's cache. Brought in only by ``push``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from weighbridge.environment.base import Route
from weighbridge.environment.tree import Finding, Node, Plain
from weighbridge.sources.folder.settings import FolderSource
from weighbridge.sources.interface import NO_SECRETS, Around, OpenSource, SourceSecrets


@dataclass(frozen=True, slots=True)
class Folder:
    """Implement ``sources.interface.Source``."""

    kind: ClassVar[str] = "folder"
    settings: ClassVar[type[FolderSource]] = FolderSource
    description: ClassVar[str] = "A folder of the machine that runs weighbridge."
    example: ClassVar[Mapping[str, Plain]] = {"path": "/mnt/models/example-13b"}
    routes: ClassVar[frozenset[Route]] = frozenset({Route.PUSH})
    remedies: ClassVar[Mapping[str, str]] = {}

    def rules(self, section: Node) -> Iterable[Finding]:
        del section
        return ()

    def meant_by(self, text: str) -> str | None:
        if not text.startswith(("/", "./", "../", "~/", "file://")):
            return None
        return "write folder: {path: /mnt/models/example-13b}"

    def where(self, settings: FolderSource) -> str:
        return f"folder {settings.path}"

    def order(self, settings: FolderSource) -> None:
        del settings

    def secrets(self, settings: FolderSource) -> SourceSecrets:
        del settings
        return NO_SECRETS

    def server(self, settings: FolderSource) -> None:
        del settings

    def open(self, settings: FolderSource, around: Around) -> OpenSource:
        from weighbridge.sources.folder.reading import open_folder  # noqa: PLC0415 - not needed to read a file

        return open_folder(settings, around)
