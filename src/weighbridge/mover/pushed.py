"""Compare the files that a sender has put into staging (the route push) with what the sender says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .document import OrderFile
from .errors import FailedError, RefusedError, VerificationError
from .layout import RECEIPTS, STAGING
from .order import Order
from .run import Run
from .staging import make_room
from .survey import survey


def receive(run: Run) -> None:
    """Create the places that a sender writes to and reads from. Remove or put aside anything that blocks them."""
    volume, layout = run.volume, run.layout
    for place in (STAGING, RECEIPTS):
        volume.make_way(place)
        with volume.directory(place, create=True):
            pass
    make_room(volume, layout)
    run.result.outcome = "ready"


def sent_digests(order: Order) -> dict[str, str]:
    """Return path to SHA-256 as the sender had it. Trust only the order: whoever has access to the volume may have
    written what is there.

    Raise ``RefusedError`` for an order without the digest of every file, as it is when freshly rendered.
    """
    sent = {file.path: file.sha256 for file in order.files if file.sha256}
    if order.expect_set_digest is None or len(sent) != len(order.files):
        raise RefusedError(
            "order-refused",
            "order: it does not say which bytes were sent, so there is nothing to compare those on the volume with",
            remedy="run the playbook: it sends the files, and completes the order with what it sent",
        )
    return sent


def verify_pushed(run: Run, files: Sequence[OrderFile], sent: Mapping[str, str]) -> dict[str, str]:
    """Read these files in staging and return path to SHA-256.

    Raise ``FailedError`` (transient) if files are not there yet, ``VerificationError`` if bytes are not those that
    were sent. Remove such files, because rsync would take one with the right size and time for sent.
    """
    volume, layout = run.volume, run.layout
    sizes = {file.path: file.size for file in files}
    found = survey(run, layout.staging, sizes, sent)
    there = {entry.path: entry for entry in volume.tree(layout.staging)}
    absent = sorted(path for path in sizes if path in found.missing or there[path].size < sizes[path])
    if absent:
        raise FailedError(
            "push-incomplete",
            f"{len(absent)} of {len(sizes)} files have not been sent whole",
            remedy="run again: sending continues where it stopped",
            files=absent,
            transient=True,
        )
    if found.damaged:
        for path in found.damaged:
            volume.remove(f"{layout.staging}/{path}")
        raise VerificationError(
            "push-damaged",
            f"{len(found.damaged)} files on the volume are not what was sent",
            remedy="run again: they have been removed and are sent anew",
            files=found.damaged,
            transient=True,
        )
    return {path: found.digests[path] for path in sizes}
