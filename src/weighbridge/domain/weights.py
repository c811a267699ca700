"""Weights as values: what a source lists, what a set is, what a receipt attests."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from weighbridge.domain.digest import Json, digest
from weighbridge.domain.facts import Key
from weighbridge.domain.model.flaws import Flaw


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """One file as its source lists it, before its content is known."""

    path: str
    """Relative path in the set, ``/``-separated."""
    size: int
    """Bytes."""
    etag: str
    """What distinguishes this content from every other at that place: S3's ETag without quotes (not a hash of the
    content for multipart uploads); ``file:``, ``lfs:`` or ``set:`` and a digest for other kinds of sources.
    """
    sha256: str | None = None
    """64 hex digits, if the source attests it. Not part of the fingerprint: the identity above says as much."""


@dataclass(frozen=True, slots=True)
class SourceListing:
    """What a source holds now, sorted by path, after ``exclude``."""

    files: tuple[SourceFile, ...]
    flaws: tuple[Flaw, ...] = field(default=(), compare=False)
    """What a look at the files found wrong with them as a model (``domain/model``). Not part of the set's identity."""

    @property
    def total_bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """``sha256:…`` over (path, size, identity) of every file: known at plan time, before a byte moved."""
        rows: list[Json] = [[file.path, file.size, file.etag] for file in sorted(self.files)]
        return digest(rows)


Verdict: TypeAlias = Literal["verified", "damaged"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the cluster stores about one published set. Written last, and mirrored in the receipts ConfigMap.

    ConfigMap ``weighbridge-<environment>-receipts``, key ``<model_id>`` (characters outside ``[-._a-zA-Z0-9]`` as
    ``_``), value: this as JSON.
    """

    model_id: str
    fingerprint: str
    set_digest: str
    """Digest of the set's canonical manifest (``mover/weightset.py``)."""
    claim: str
    """Name of the PersistentVolumeClaim."""
    claim_uid: str
    sub_path: str
    files: int
    total_bytes: int
    route: str
    published_at: str
    """RFC 3339, UTC."""
    verified_at: str
    verdict: Verdict
    damaged: tuple[str, ...] = ()
    """Paths whose bytes differed at the last verification (at most 20)."""


def sub_path_of(model_id: str, fingerprint: str) -> str:
    """Return ``<model_id>/<first 12 hex digits of the fingerprint>``: one directory for each version (design, "Weights")."""
    return f"{model_id}/{fingerprint.removeprefix('sha256:')[:12]}"


LISTING: Final[Key[SourceListing]] = Key("listing")
"""By model id: what its source holds now."""
RECEIPT: Final[Key[Receipt]] = Key("receipt")
"""By model id: what the cluster stores about its published set."""
ARRIVED: Final[Key[Receipt]] = Key("arrived")
"""By model id: receipts that are valid at this moment of the run."""
