"""Publish verified files as one set, so that a run after a crash between any two steps can continue there.

The steps, each flushed to the disk before the next: fsync everything in staging; write the pending receipt beside it;
rename the files to their published names (a new set by one rename of its directory, a repair by one rename for each
file); rename the pending receipt to the receipt; remove the rest of staging.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import VerificationError
from .paths import printable
from .readback import check_weights
from .receipts import (
    ReceiptError,
    SetReceipt,
    contradiction,
    encode_receipt,
    largest,
    parse_receipt,
    receipt_for,
    vouched_for,
)
from .run import Run
from .staging import clear
from .volume import Volume


@dataclass(frozen=True)
class Attested:
    """What an earlier run left of a set, if another source vouches for it."""

    receipt: SetReceipt
    final: bool
    """Whether it is the set's receipt, rather than a pending receipt."""


def attested(run: Run) -> Attested | None:
    """Return what is known from an earlier run about the order's set.

    Everybody who can write to the volume can write receipts, so a receipt counts only if another source vouches for
    it. One that is malformed, or attests something else than the order asks for, does not count.
    """
    for path, final in ((run.layout.receipt, True), (run.layout.verified, False)):
        content = run.volume.read(path, largest(run.order))
        if content is None:
            continue
        try:
            receipt = parse_receipt(content)
        except ReceiptError:
            continue
        if contradiction(receipt, run.order) is not None:
            continue
        if vouched_for(receipt, run.order):
            return Attested(receipt, final)
        run.reporter.note(f"{path} is not what the cluster has on record: it proves nothing")
    return None


def publish(
    run: Run,
    digests: Mapping[str, str],
    *,
    staged: Sequence[str],
    extra: Sequence[str],
    published_at: str | None,
) -> SetReceipt:
    """Publish the set. ``staged``: its files that lie in staging (the others are in place); ``extra``: files to be
    removed.

    Every file's digest is known and verified by now. Raise ``VerificationError`` if the set as a whole is not the
    requested one, ``RefusedError`` for weights with unsound headers, ``OSError`` of the volume.
    """
    order, volume, layout = run.order, run.volume, run.layout
    receipt = receipt_for(order, digests, published_at)
    if order.expect_set_digest and receipt.set_digest != order.expect_set_digest:
        raise VerificationError(
            "set-differs",
            f"the set's digest is {receipt.set_digest}, the order wants {order.expect_set_digest}",
            remedy="the source holds other bytes than those that were promoted: find out which ones are right",
        )
    coming = set(staged)
    check_weights(
        volume,
        lambda path: f"{layout.staging if path in coming else layout.published}/{path}",
        [file.path for file in order.files],
    )
    if coming:
        for entry in volume.tree(layout.staging):
            if entry.path not in coming:
                volume.remove(f"{layout.staging}/{entry.path}")
                run.reporter.note(f"removed from staging, not of the set: {entry.path}")
        _remove_empty(volume, layout.staging)
        volume.sync_tree(layout.staging)
    volume.write_atomically(layout.verified, encode_receipt(receipt))
    whole = len(coming) == len(order.files)
    if coming and (
        not volume.is_directory(layout.published) or (whole and not volume.writable(layout.published))
    ):
        volume.rename(layout.staging, layout.published)
    else:
        _replace(run, sorted(coming), extra)
    _confirm(run)
    volume.rename(layout.verified, layout.receipt)
    clear(volume, layout)
    run.reporter.progress("publish", receipt.total_bytes, receipt.total_bytes, final=True)
    return receipt


def _replace(run: Run, coming: Sequence[str], extra: Sequence[str]) -> None:
    """Repair in place. Programs that have one of the other files open or mapped are not disturbed."""
    volume, layout = run.volume, run.layout
    for path in extra:
        volume.remove(f"{layout.published}/{path}")
        run.reporter.note(f"removed from the set, not of it: {path}")
    for path in coming:
        volume.rename(f"{layout.staging}/{path}", f"{layout.published}/{path}")
    if extra:
        _remove_empty(volume, layout.published)
        volume.sync_tree(layout.published)


def _confirm(run: Run) -> None:
    """Check that the published directory holds the set and nothing else. This finds files that somebody added between
    the proof and the renames, before the receipt says that all is well.
    """
    there = {entry.path: (entry.kind, entry.size) for entry in run.volume.tree(run.layout.published)}
    wanted = {file.path: ("file", file.size) for file in run.order.files}
    wrong = sorted(path for path in there.keys() | wanted.keys() if there.get(path) != wanted.get(path))
    if wrong:
        wrong = list(map(printable, wrong))
        raise VerificationError(
            "volume-changed",
            f"somebody else changed {run.layout.published} while it was published: {', '.join(wrong[:5])}",
            remedy="find out who else writes to this volume, then run again",
            files=wrong,
            transient=True,
        )


def _remove_empty(volume: Volume, place: str) -> None:
    while True:
        empty = [entry.path for entry in volume.tree(place) if entry.kind == "directory"]
        if not empty:
            return
        for path in empty:
            volume.remove(f"{place}/{path}")
