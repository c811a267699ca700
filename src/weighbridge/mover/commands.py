"""The three things a mover does: ``fetch``, ``publish`` and ``verify``."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from .document import OrderFile
from .errors import RefusedError, VerificationError
from .fetch import Fetch
from .layout import Layout
from .locks import SetLock
from .order import Order
from .publish import attested, publish
from .pushed import sent_digests, verify_pushed
from .receipts import ReceiptError, SetReceipt, contradiction, parse_receipt
from .run import Run
from .staging import Staging, clear, sweep_abandoned
from .survey import Survey, survey
from .volume import Volume
from .weightset import set_digest

_MAX_RECEIPT = 64 << 20
_NO_SOURCE = "order: source is missing, there is nothing to fetch from"
_NAMED = 5
"""Paths of each kind that the sentence itself names; the result lists more."""


def fetch(run: Run) -> None:
    """Bring the set from its source into place; sets the outcome ``published``, ``repaired`` or ``unchanged``."""
    if run.order.source is None:
        raise RefusedError("order-refused", _NO_SOURCE)
    _bring(run, None)


def publish_pushed(run: Run) -> None:
    """Publish what a sender has put into staging; outcomes as for ``fetch``."""
    _bring(run, sent_digests(run.order))


def _bring(run: Run, pushed: Mapping[str, str] | None) -> None:
    """Make the published set right: find what is wrong with it, get that (fetched, or as ``pushed``), publish."""
    order, volume, layout = run.order, run.volume, run.layout
    if not order.files:
        raise RefusedError("order-refused", "order: files is empty, which only verify understands")
    with SetLock(volume, layout.lock) as lock:
        if not lock.acquire(run.control, order.limits.lock_wait_seconds):
            run.reporter.note(
                "this file system has no locks: nothing keeps a second mover from working on the same set"
            )
        for abandoned in sweep_abandoned(volume, order):
            run.reporter.note(f"removed what was left in flight of {abandoned}")
        receipt, final = attested(volume, layout, order)
        known = receipt.digests() if receipt else {**(pushed or {})}
        found = _look_in_place(run, known)
        if found is not None and found.sound and receipt is not None and final:
            clear(volume, layout)
            _settle(run, receipt, "unchanged")
            return
        wrong = [file for file in order.files if found is None or file.path in found.wrong]
        expected = {file.path: file.sha256 for file in order.files if file.sha256}
        expected.update(receipt.digests() if receipt else {})
        fresh: dict[str, str] = {}
        if wrong:
            fresh = _fetch(run, wrong, expected) if pushed is None else verify_pushed(run, wrong, pushed)
        mended = publish(
            run,
            {**(found.digests if found else {}), **fresh},
            staged=sorted(fresh),
            extra=found.extra if found else (),
            published_at=receipt.published_at if receipt and final else None,
        )
        repaired = final and receipt is not None
        run.result.files_repaired = sorted({*fresh, *(found.extra if found else ())}) if repaired else []
        _settle(run, mended, "repaired" if repaired else "published")


def _look_in_place(run: Run, known: Mapping[str, str]) -> Survey | None:
    """What the published directory holds, or ``None`` if there is none."""
    order, volume, place = run.order, run.volume, run.layout.published
    if not volume.is_directory(place):
        return None
    sizes = {file.path: file.size for file in order.files}
    found = survey(run, place, sizes, known)
    # No receipt, but the order knows the set: files that make up just that set are proven by it.
    if (
        not known
        and order.expect_set_digest
        and not found.missing
        and not found.extra
        and found.digests.keys() == sizes.keys()
    ):
        whole = [(path, sizes[path], digest) for path, digest in found.digests.items()]
        if set_digest(whole) == order.expect_set_digest:
            return Survey(found.digests, damaged=(), missing=(), extra=())
    return found


def _fetch(run: Run, files: list[OrderFile], expected: Mapping[str, str]) -> dict[str, str]:
    ordered = run.order.source
    if ordered is None:
        raise RefusedError("order-refused", _NO_SOURCE)
    staging = Staging(run.volume, run.layout, run.order.fingerprint, files)
    try:
        source, lanes = ordered.connect(run.reach)
        return Fetch(run, source, lanes, staging).run(expected)
    finally:
        staging.close()


def verify(run: Run) -> None:
    """Read the published set and compare it with its receipt; nothing is changed. Sets the outcome ``verified``.

    Raises ``VerificationError`` that names what is damaged, missing or extra, also for a set or receipt that is not there.
    """
    order, volume, layout = run.order, run.volume, run.layout
    with SetLock(volume, layout.lock) as lock:
        try:
            if not lock.acquire(run.control, order.limits.lock_wait_seconds, shared=True):
                run.reporter.note(
                    "this file system has no locks: a mover that works on this set now would show as damage"
                )
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise
            run.reporter.note("the volume is not writable: verifying without a lock")
        receipt = _receipt(volume, layout, order)
        run.result.set_digest, run.result.published_at = receipt.set_digest, receipt.published_at
        run.result.files, run.result.total_bytes = len(receipt.rows), receipt.total_bytes
        if not volume.is_directory(layout.published):
            raise VerificationError(
                "not-published",
                f"{layout.published} is not on the volume, though its receipt is",
                remedy=_APPLY,
            )
        sizes = {row.path: row.size for row in receipt.rows}
        found = survey(run, layout.published, sizes, receipt.digests())
    if not found.sound:
        named = [("damaged", found.damaged), ("missing", found.missing), ("extra", found.extra)]
        text = "; ".join(
            f"{len(paths)} {word}: {', '.join(paths[:_NAMED])}" for word, paths in named if paths
        )
        raise VerificationError(
            "set-damaged",
            f"the stored set is not the published one: {text}",
            remedy=_APPLY,
            files=(*found.wrong, *found.extra),
        )
    _settle(run, receipt, "verified")


def _receipt(volume: Volume, layout: Layout, order: Order) -> SetReceipt:
    content = volume.read(layout.receipt, _MAX_RECEIPT)
    if content is None:
        raise VerificationError(
            "not-published", f"{layout.published} has no receipt on the volume", remedy=_APPLY
        )
    try:
        receipt = parse_receipt(content)
    except ReceiptError as error:
        raise VerificationError(
            "receipt-damaged", f"the receipt {layout.receipt} is not sound: {error}", remedy=_APPLY
        ) from error
    problem = contradiction(receipt, order)
    if problem:
        raise VerificationError(
            "receipt-differs", f"the receipt {layout.receipt} is another one's: {problem}", remedy=_APPLY
        )
    return receipt


_APPLY = "apply again: it brings in what is wrong and leaves the rest alone"


def _settle(run: Run, receipt: SetReceipt, outcome: str) -> None:
    result = run.result
    result.outcome, result.set_digest, result.published_at = outcome, receipt.set_digest, receipt.published_at
    result.files, result.total_bytes = len(receipt.rows), receipt.total_bytes
