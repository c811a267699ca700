"""What a published directory really holds, against what is known of the set."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable

from .readback import read_back
from .run import Run


@dataclass(frozen=True)
class Survey:
    """Every path of the set or the directory, sorted into what it is."""

    digests: Mapping[str, str]
    """Path to SHA-256 of every file of the set that is there with the right size."""
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Exactly the set's files, each with the known bytes."""
        return not (self.damaged or self.missing or self.extra)

    @property
    def wrong(self) -> tuple[str, ...]:
        """Files of the set that are not as they must be."""
        return tuple(sorted({*self.damaged, *self.missing}))


def survey(run: Run, place: str, sizes: Mapping[str, int], known: Mapping[str, str]) -> Survey:
    """Read every file of the set at directory ``place`` and compare it with the digest that is ``known`` of it.

    A file of which nothing is known is read, so that its digest can be had, and counts as damaged: unproven. Each
    file and each problem is reported as it is found.
    """
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
        whole = entry.kind == "file" and entry.size == size
        sha256 = _digest(run, f"{place}/{path}", count) if whole else None
        if sha256 is not None:
            digests[path] = sha256
        if sha256 is not None and sha256 == known.get(path):
            run.reporter.file(path, size, sha256)
        else:
            damaged.append(path)
            if path in known:
                run.reporter.problem(path, "damaged")
    for path in extra:
        run.reporter.problem(path, "extra")
    run.reporter.progress("verify", done, total, final=True)
    return Survey(digests, tuple(damaged), tuple(missing), extra)


def _digest(run: Run, place: str, count: Callable[[int], None]) -> str | None:
    descriptor = run.volume.open(place, os.O_RDONLY)
    try:
        return read_back(descriptor, run.control, count=count).sha256
    except OSError as error:
        # A block that the device cannot read is damage of this file, and the others still have to be looked at.
        if error.errno == errno.EIO:
            return None
        raise
    finally:
        os.close(descriptor)
