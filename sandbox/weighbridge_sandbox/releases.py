"""Official archives of released programs: fetched where the network allows, and used only if the digest is the pinned one."""

import hashlib
import queue
import shutil
import tarfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, build_opener

from weighbridge_sandbox.errors import SandboxError

ANSWERS_WITHIN_S = 3
"""A machine without internet must not wait long before it compiles; names are looked up within this time too."""
STALLS_AFTER_S = 30
CHUNK_BYTES = 1 << 20
LARGEST_BYTES = 1 << 30
"""The server archive of Kubernetes, the largest, has about 400 MB."""


class ReleaseError(SandboxError):
    """The archive cannot be used; the program is to be compiled."""


class UnreachableError(ReleaseError):
    """Its server does not answer, so it need not be asked for anything else."""


@dataclass(frozen=True)
class Archive:
    """A gzipped tar of a release. `programs` are the files taken from it, by their names without folders."""

    url: str
    algorithm: str
    digest: str
    programs: tuple[str, ...]

    @property
    def host(self) -> str:
        """Who is asked."""
        return urlsplit(self.url).hostname or ""


def fetch(archive: Archive, into: Path, detail: Callable[[str], None]) -> Mapping[str, Path]:
    """Fetch, compare, unpack: program -> a file in the folder `into`. Raises ReleaseError; nothing unproven is left there."""
    packed = into / f".{archive.programs[0]}.tar.gz"
    try:
        said = _save(archive, packed, detail)
        if said != archive.digest:
            raise ReleaseError(
                f"{archive.url} has the {archive.algorithm} {said} and not {archive.digest}, which is pinned"
            )
        return _unpack(archive, packed, into)
    except (OSError, HTTPException, tarfile.TarError, EOFError) as error:
        raise ReleaseError(f"{archive.url}: {error}") from error
    finally:
        packed.unlink(missing_ok=True)


def _save(archive: Archive, packed: Path, detail: Callable[[str], None]) -> str:
    summary = hashlib.new(archive.algorithm)
    with _answer(archive.url) as answer, packed.open("wb") as out:
        due, size = answer.length, 0  # bytes; no length is said with a chunked answer
        while chunk := answer.read(CHUNK_BYTES):
            size += len(chunk)
            if size > LARGEST_BYTES:
                raise ReleaseError(f"{archive.url} is larger than {LARGEST_BYTES >> 20} MiB")
            summary.update(chunk)
            out.write(chunk)
            detail(f"{size * 100 // due} % fetched" if due else f"{size >> 20} MiB fetched")
    if due and size < due:
        raise ReleaseError(f"{archive.url} broke off after {size} of {due} bytes")
    return summary.hexdigest()


def _answer(url: str) -> HTTPResponse:
    """Ask in a thread: a name that is not resolved blocks for longer than any timeout of a connection."""
    answered: queue.Queue[HTTPResponse | Exception] = queue.Queue()

    def ask(opener: OpenerDirector) -> None:
        try:
            answered.put(opener.open(url, timeout=STALLS_AFTER_S))
        except (OSError, HTTPException, ValueError) as error:
            answered.put(error)

    threading.Thread(target=ask, args=(build_opener(),), daemon=True).start()
    try:
        answer = answered.get(timeout=ANSWERS_WITHIN_S)
    except queue.Empty:
        raise UnreachableError(f"{url} did not answer within {ANSWERS_WITHIN_S} s") from None
    if isinstance(answer, HTTPError):
        raise ReleaseError(f"{url} answers {answer.code}") from answer
    if isinstance(answer, Exception):
        raise UnreachableError(f"{url}: {answer}") from answer
    return answer


def _unpack(archive: Archive, packed: Path, into: Path) -> Mapping[str, Path]:
    found = {}
    with tarfile.open(packed, "r:gz") as tar:
        for member in tar:
            name = Path(member.name).name
            content = tar.extractfile(member) if name in archive.programs and member.isfile() else None
            if content:
                found[name] = into / f".{name}.new"
                with content, found[name].open("wb") as out:
                    shutil.copyfileobj(content, out, CHUNK_BYTES)
                found[name].chmod(0o755)
    if lacking := set(archive.programs) - set(found):
        raise ReleaseError(f"{archive.url} holds no {', '.join(sorted(lacking))}")
    return found
