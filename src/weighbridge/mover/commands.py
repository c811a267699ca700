"""The three verbs of a mover: ``fetch``, ``publish`` and ``verify``."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace

from .contact import NO_SOURCE, Contact
from .document import OrderFile
from .errors import RefusedError, VerificationError
from .fetch import ContradictedError, Fetch
from .locks import SetLock
from .order import sound_files
from .paths import printable
from .publish import Attested, attested, publish
from .pushed import sent_digests, verify_pushed
from .receipts import ReceiptError, SetReceipt, contradiction, parse_receipt
from .run import Run
from .staging import Staging, clear, make_room, sweep_abandoned
from .survey import Survey, survey
from .volume import strange
from .weightset import fingerprint, set_digest

_MAX_RECEIPT = 64 << 20
_NAMED = 5
"""Number of paths of each kind in the error's sentence; the result lists more."""


def fetch(run: Run) -> None:
    """Bring the set from its source into place; set the outcome ``published``, ``repaired`` or ``unchanged``."""
    if run.order.source is None:
        raise RefusedError("order-refused", NO_SOURCE)
    _bring(_listed_again(run), None)


def publish_pushed(run: Run) -> None:
    """Publish what a sender has put into staging; the outcomes are those of ``fetch``."""
    _bring(run, sent_digests(run.order))


def _listed_again(run: Run) -> Run:
    """If the order has no list of files, list the source now. Return the run with the list if it is what the plan saw."""
    listed = run.order.listed
    if listed is None:
        return run
    with Contact(run) as contact:
        files = contact.list(listed.exclude)
    found = fingerprint((file.path, file.size, file.etag) for file in files)
    if found != run.order.fingerprint:
        how = (
            f"{listed.count} files were planned, {len(files)} are there"
            if len(files) != listed.count
            else found
        )
        raise RefusedError(
            "source-changed",
            f"the source changed since the plan: {how}",
            remedy="wait until the source is complete, then plan and apply again (the set gets a new fingerprint)",
        )
    order = replace(run.order, files=sound_files(files), listed=None)
    run.result.files, run.result.total_bytes = len(order.files), order.total_bytes
    return replace(run, order=order)


def _bring(run: Run, pushed: Mapping[str, str] | None) -> None:
    """Repair the published set: find what is wrong, get those files (fetched, or as ``pushed``), and publish."""
    order, volume, layout = run.order, run.volume, run.layout
    if not order.files:
        raise RefusedError("order-refused", "order: files is empty, which only verify understands")
    with SetLock(volume, layout.lock) as lock:
        if not lock.acquire(run.control, order.limits.lock_wait_seconds):
            run.reporter.note(
                "this file system has no locks: nothing keeps a second mover from working on the same set"
            )
        make_room(volume, layout)
        volume.make_way(layout.receipt.rpartition("/")[0])
        for abandoned in sweep_abandoned(volume, order):
            run.reporter.note(f"removed what was left in flight of {abandoned}")
        try:
            _make_right(run, attested(run), pushed)
        except ContradictedError as problem:
            # The record may be forged, or the source may have changed since. So compare every file's bytes with the source.
            run.reporter.note(f"{problem.message}: every file is compared with the source instead")
            _make_right(run, None, pushed)


def _make_right(run: Run, earlier: Attested | None, pushed: Mapping[str, str] | None) -> None:
    order = run.order
    expected = {file.path: file.sha256 for file in order.files if file.sha256}
    recorded = earlier.receipt.digests() if earlier else {}
    published = earlier.receipt if earlier and earlier.final else None
    found = _look_in_place(run, {**recorded, **expected}, from_source=pushed is None)
    if found is not None and found.sound and published is not None:
        clear(run.volume, run.layout)
        _settle(run, published, "unchanged")
        return
    if found is not None and not found.sound and not run.volume.writable(run.layout.published):
        found = None  # it cannot be repaired in place: replace the whole set
    unproven = None if found is None else set(found.wrong)
    wrong = [file for file in order.files if unproven is None or file.path in unproven]
    fresh: dict[str, str] = {}
    if wrong:
        fresh = (
            _fetch(run, wrong, expected, recorded) if pushed is None else verify_pushed(run, wrong, pushed)
        )
    mended = publish(
        run,
        {**(found.digests if found else {}), **fresh},
        staged=sorted(fresh),
        extra=found.extra if found else (),
        published_at=published.published_at if published else None,
    )
    if published or (found is not None and order.recorded_set_digest):
        run.result.files_repaired = sorted({*fresh, *map(printable, found.extra if found else ())})
    _settle(run, mended, "repaired" if published else "published")


def _look_in_place(run: Run, known: Mapping[str, str], *, from_source: bool) -> Survey | None:
    """Compare the published directory with what is known. Return ``None`` if there is none."""
    order, volume, place = run.order, run.volume, run.layout.published
    if not volume.is_directory(place):
        return None
    sizes = {file.path: file.size for file in order.files}
    if known.keys() >= sizes.keys():
        return survey(run, place, sizes, known)
    digests = {order.recorded_set_digest, order.expect_set_digest} - {None}
    if digests:  # files that make up exactly that set are proven by its digest
        found = survey(run, place, sizes, known, measure=True)
        if found.digests.keys() == sizes.keys():
            whole = [(path, sizes[path], digest) for path, digest in found.digests.items()]
            if set_digest(whole) in digests:
                return Survey(found.digests, damaged=(), missing=(), extra=found.extra)
    if not from_source:
        return survey(run, place, sizes, known)
    there = {entry.path: entry.size for entry in volume.tree(place) if entry.kind == "file"}
    asked = [
        (file, True) for file in order.files if file.path not in known and there.get(file.path) == file.size
    ]
    with Contact(run) as contact:
        checks = contact.checks(asked)
    return survey(run, place, sizes, known, checks=checks)


def _fetch(
    run: Run, files: list[OrderFile], expected: Mapping[str, str], recorded: Mapping[str, str]
) -> dict[str, str]:
    staging = Staging(run.volume, run.layout, run.order.fingerprint, files)
    try:
        with Contact(run) as contact:
            return Fetch(run, contact, staging).run(expected, recorded)
    finally:
        staging.close()


def verify(run: Run) -> None:
    """Read the published set and compare it with the digest in the order, by means of the receipt. Change nothing;
    set the outcome ``verified``.

    Raise ``VerificationError`` that names what is damaged, missing or extra, also if the set or the receipt is
    missing.
    """
    order, volume, layout = run.order, run.volume, run.layout
    if order.expect_set_digest is None:
        raise RefusedError(
            "order-refused",
            "order: it does not say which set is on record, and the volume's own word proves nothing",
            remedy="run the playbook: it completes the order with the cluster's record",
        )
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
        try:
            receipt, found = _compared(run)
        except (RefusedError, OSError) as error:
            if not strange(error):
                raise
            told = volume.explain(error) if isinstance(error, OSError) else error
            raise VerificationError(told.code, told.message, remedy=told.remedy, files=told.files) from error
    if not found.sound:
        extra = tuple(map(printable, found.extra))
        named = [("damaged", found.damaged), ("missing", found.missing), ("extra", extra)]
        text = "; ".join(
            f"{len(paths)} {word}: {', '.join(paths[:_NAMED])}" for word, paths in named if paths
        )
        raise VerificationError(
            "set-damaged",
            f"the stored set is not the published one: {text}",
            remedy=_APPLY,
            files=(*found.wrong, *extra),
        )
    _settle(run, receipt, "verified")


def _compared(run: Run) -> tuple[SetReceipt, Survey]:
    receipt = _receipt(run)
    run.result.set_digest, run.result.published_at = receipt.set_digest, receipt.published_at
    run.result.files, run.result.total_bytes = len(receipt.rows), receipt.total_bytes
    if not run.volume.is_directory(run.layout.published):
        raise VerificationError(
            "not-published",
            f"{run.layout.published} is not on the volume, though its receipt is",
            remedy=_APPLY,
        )
    sizes = {row.path: row.size for row in receipt.rows}
    return receipt, survey(run, run.layout.published, sizes, receipt.digests())


def _receipt(run: Run) -> SetReceipt:
    layout = run.layout
    content = run.volume.read(layout.receipt, _MAX_RECEIPT)
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
    problem = contradiction(receipt, run.order)
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
