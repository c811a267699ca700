"""Compare what a published directory really holds with what is known about the set."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable

from .readback import Check, MakeCheck, ReadBack, read_back
from .run import Run


@dataclass(frozen=True)
class Survey:
    """Every path of the set or the directory, sorted by its state."""

    digests: Mapping[str, str]
    """Path to SHA-256 of every file of the set that was read. It is proven for files that are not ``wrong``."""
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    """Names as they are on the volume. Pass them through ``paths.printable`` before they are shown."""

    @property
    def sound(self) -> bool:
        """Whether it holds exactly the set's files, each with the known bytes."""
        return not (self.damaged or self.missing or self.extra)

    @property
    def wrong(self) -> tuple[str, ...]:
        """Files of the set that are damaged or missing."""
        return tuple(sorted({*self.damaged, *self.missing}))


def survey(  # noqa: PLR0913 - what is compared with what
    run: Run,
    place: str,
    sizes: Mapping[str, int],
    known: Mapping[str, str],
    *,
    checks: Mapping[str, MakeCheck | None] | None = None,
    measure: bool = False,
) -> Survey:
    """Read every file of the set in directory ``place``. Compare it with its ``known`` digest, else with what the
    source attests (``checks``).

    A file without either counts as damaged, because it is unproven; it is read only to ``measure`` its digest. Each
    file and each problem is reported as it is found.
    """
    checks = checks or {}
    entries = {entry.path: entry for entry in run.volume.tree(place)}
    extra = tuple(sorted(entries.keys() - sizes.keys()))
    missing, damaged, digests = [], [], {}
    total, done = sum(sizes.values()), 0

    def count(step: int) -> None:
        nonlocal done
        done += step
        run.reporter.progress("verify", done, total)

    for path, size in sorted(sizes.items()):
        entry = entries.get(path)
        if entry is None:
            missing.append(path)
            run.reporter.problem(path, "missing")
            continue
        make = None if path in known else checks.get(path)
        check = make() if make else None
        whole = entry.kind == "file" and entry.size == size
        back = (
            _read(run, f"{place}/{path}", check, count)
            if whole and (path in known or make or measure)
            else None
        )
        if back is not None:
            digests[path] = back.sha256
        if back is not None and back.size == size and _is_proven(back, known.get(path), check):
            run.reporter.file(path, size, back.sha256)
        else:
            damaged.append(path)
            if path in known or make:
                run.reporter.problem(path, "damaged")
    for path in extra:
        run.reporter.problem(path, "extra")
    run.reporter.progress("verify", done, total, final=True)
    return Survey(digests, tuple(damaged), tuple(missing), extra)


def _is_proven(back: ReadBack, known: str | None, check: Check | None) -> bool:
    if known is not None:
        return back.sha256 == known
    return check is not None and check.holds()


def _read(run: Run, place: str, check: Check | None, count: Callable[[int], None]) -> ReadBack | None:
    descriptor = run.volume.open(place, os.O_RDONLY)
    try:
        return read_back(descriptor, run.control, check=check, count=count)
    except OSError as error:
        # A block that the device cannot read means damage of this file; continue with the others.
        if error.errno == errno.EIO:
            return None
        raise
    finally:
        os.close(descriptor)
