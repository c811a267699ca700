"""Makes verified files one published set, so that a crash between any two steps is taken up where it happened.

The steps, each made to last before the next: everything in staging is fsynced; the receipt-to-be is written beside it;
the files come under their published names (a fresh set by one rename of its directory, a repair by one rename a file);
the receipt-to-be becomes the receipt; what is left in staging goes.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Mapping, Sequence

from .errors import VerificationError
from .layout import Layout
from .order import Order
from .readback import check_weights
from .receipts import ReceiptError, SetReceipt, contradiction, encode_receipt, parse_receipt, receipt_for
from .run import Run
from .staging import clear
from .volume import Volume

_MAX_RECEIPT = 64 << 20


def attested(volume: Volume, layout: Layout, order: Order) -> tuple[SetReceipt | None, bool]:
    """What is known of the order's set from an earlier run, and whether that is its receipt rather than a receipt-to-be.

    A document that is malformed, or attests something else than the order asks for, counts as none.
    """
    for path, final in ((layout.receipt, True), (layout.verified, False)):
        content = volume.read(path, _MAX_RECEIPT)
        with contextlib.suppress(ReceiptError):
            receipt = parse_receipt(content) if content is not None else None
            if receipt is not None and contradiction(receipt, order) is None:
                return receipt, final
    return None, False


def publish(
    run: Run,
    digests: Mapping[str, str],
    *,
    staged: Sequence[str],
    extra: Sequence[str],
    published_at: str | None,
) -> SetReceipt:
    """Publish the set: ``staged`` names its files that lie in staging (the rest is in place), ``extra`` what must go.

    Every file's digest is known and verified by now. Raises ``VerificationError`` when the set as a whole is not the
    one that was asked for, ``RefusedError`` for weights whose headers are not sound, ``OSError`` of the volume.
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
    if coming and not volume.is_directory(layout.published):
        volume.rename(layout.staging, layout.published)
    else:
        _replace(run, sorted(coming), extra)
    volume.rename(layout.verified, layout.receipt)
    clear(volume, layout)
    run.reporter.progress("publish", receipt.total_bytes, receipt.total_bytes, final=True)
    return receipt


def _replace(run: Run, coming: Sequence[str], extra: Sequence[str]) -> None:
    """Repair in place: whoever has one of the other files open or mapped is not disturbed."""
    volume, layout = run.volume, run.layout
    for path in extra:
        volume.remove(f"{layout.published}/{path}")
        run.reporter.note(f"removed from the set, not of it: {path}")
    for path in coming:
        place = f"{layout.published}/{path}"
        there = volume.lstat(place)
        if there is not None and stat.S_ISDIR(there.st_mode):
            volume.remove_tree(place)
        volume.rename(f"{layout.staging}/{path}", place)
    if extra:
        _remove_empty(volume, layout.published)
        volume.sync_tree(layout.published)


def _remove_empty(volume: Volume, place: str) -> None:
    while True:
        empty = [entry.path for entry in volume.tree(place) if entry.kind == "directory"]
        if not empty:
            return
        for path in empty:
            volume.remove(f"{place}/{path}")
