"""Secrets by reference: environment variables, files, Kubernetes Secrets. Values live in memory only.

White space around a value is left out, wherever it came from (``mover/secret_text.py`` says why); what a key or a token cannot
hold is refused by the reference's name.

Under ansible-runner the environment is scrubbed, so the orchestrator hands values over in one file, mode 0600 on tmpfs, whose
path is in ``WEIGHBRIDGE_SECRETS_FILE``: JSON ``{"env:NAME" | "file:PATH": value}``. By hand, references are read directly.
"""

import errno
import json
import logging
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from weighbridge.environment.base import EnvReference, SecretReference
from weighbridge.environment.home import at_home
from weighbridge.environment.types import Environment
from weighbridge.errors import PreconditionError
from weighbridge.mover import secret_text
from weighbridge.s3.keys import key_references
from weighbridge.sources.interface import SourceSecrets

OVERLAY_VARIABLE = "WEIGHBRIDGE_SECRETS_FILE"
"""Names the file with values that were resolved earlier; see the module's text."""

_LARGEST = secret_text.LARGEST
"""Bytes; a secret's file beyond this is a mistake, not a secret."""

_PATIENCE_SECONDS = 10.0

_log = logging.getLogger(__name__)

KubeReader: TypeAlias = Callable[[str], Mapping[str, str]]
"""Name of a Secret in the operands namespace → its keys and decoded values."""


def reference_key(reference: SecretReference) -> str:
    """``env:NAME`` or ``file:PATH``, as written in the environment file: the key in the overlay."""
    return f"env:{reference.env}" if isinstance(reference, EnvReference) else f"file:{reference.file}"


class Secrets:
    """Resolves references. ``folder`` is where relative ``file:`` references start: the environment file's folder."""

    def __init__(
        self,
        folder: Path,
        overlay_file: Path | None = None,
        kube_reader: KubeReader | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._environ = os.environ if environ is None else environ
        self._resolved = dict(_read_overlay(overlay_file or _overlay_path(self._environ)))
        """By reference: a pipe can be read once only."""
        self._read_before: dict[str, Mapping[str, str]] = {}
        """By name of a Kubernetes Secret: many models may name the same one."""
        self._resolving = threading.Lock()
        self._kube_reader = kube_reader
        self.warnings: list[str] = []
        """What is worth telling about files that were read: at most one line a file."""

    def resolve(self, reference: SecretReference) -> str:
        """The value. ``PreconditionError`` names the variable or file that is absent, empty or unreadable."""
        key = reference_key(reference)
        with self._resolving:
            if key not in self._resolved:
                self._resolved[key] = (
                    self._variable(reference.env)
                    if isinstance(reference, EnvReference)
                    else self._file(reference.file)
                )
            return self._resolved[key]

    def token(self, reference: SecretReference) -> str:
        """The value of a reference to a key or a token. Beyond ``resolve``, ``PreconditionError`` where none looks like it."""
        return _sound(self.resolve(reference), _named(reference))

    def values(self, references: Mapping[str, SecretReference]) -> dict[str, str]:
        """Each reference's key or token, under its own key."""
        return {key: self.token(reference) for key, reference in references.items()}

    def of_source(self, wanted: SourceSecrets) -> dict[str, str]:
        """What a source needs to log in, from this machine or from the Secret of the cluster that the file names."""
        return self.values(wanted.references) if wanted.existing is None else self._kubernetes(wanted)

    def collect_model(self, environment: Environment, model_id: str) -> dict[str, str]:
        """Every value that one model's source refers to, keyed as the overlay file is: what a playbook for that model may
        know. Kubernetes Secrets stay references.
        """
        return {
            reference_key(reference): self.token(reference)
            for model in environment.models
            if model.id == model_id
            for reference in model.source.chosen.secrets.references.values()
        }

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        if value is None:
            raise PreconditionError(
                f"environment variable {name} is not set",
                remedy=f"Export {name}, or refer to a file instead: {{file: PATH}}.",
                code="secret-missing",
            )
        if not secret_text.trimmed(value):
            raise PreconditionError(
                f"environment variable {name} is empty",
                remedy=f"Export {name} with its value.",
                code="secret-empty",
            )
        return secret_text.trimmed(value)

    def _file(self, written: str) -> str:
        path = self._folder / at_home(written)
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISFIFO(status.st_mode):
                raise _unreadable(f"secret file {path} is not a file", "Name the file that holds the value.")
            content = _read(path)
        except OSError as error:
            absent = isinstance(error, FileNotFoundError)
            raise PreconditionError(
                f"secret file {path} {'does not exist' if absent else f'cannot be read: {error.strerror}'}",
                remedy="Write the value into that file (mode 0600), or correct the path; relative paths start at the environment file.",
                code="secret-missing" if absent else "secret-unreadable",
            ) from error
        if len(content) > _LARGEST:
            raise _unreadable(
                f"secret file {path} is larger than {_LARGEST} bytes", "Is this the right file?"
            )
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
            self._warn(f"secret file {path} can be read by everybody on this machine: chmod 600 {path}")
        try:
            value = secret_text.trimmed(content.decode())
        except UnicodeDecodeError as error:
            raise _unreadable(f"secret file {path} is not UTF-8 text", "Is this the right file?") from error
        if not value:
            raise PreconditionError(
                f"secret file {path} is empty", remedy="Write the value into it.", code="secret-empty"
            )
        return value

    def _kubernetes(self, wanted: SourceSecrets) -> dict[str, str]:
        name = wanted.existing or ""
        if self._kube_reader is None:
            raise _unreadable(
                f"the {wanted.called} lie in the Kubernetes Secret {name}, which cannot be read from here",
                "Allow `get` on that Secret, use the route `fetch` (its pod mounts the Secret), or refer to variables or files.",
            )
        with self._resolving:
            if name not in self._read_before:
                self._read_before[name] = self._kube_reader(name)
        data = {key: secret_text.trimmed(value) for key, value in self._read_before[name].items()}
        missing = [key for key in wanted.required if not data.get(key)]
        if missing:
            more = f" (and {', '.join(wanted.optional)} where used)" if wanted.optional else ""
            raise PreconditionError(
                f"Kubernetes Secret {name} has no {' and no '.join(missing)}",
                remedy=f"The Secret needs the keys {' and '.join(wanted.required)}{more}.",
                code="secret-missing",
            )
        return {
            key: _sound(data[key], f"{key} of Kubernetes Secret {name}")
            for key in (*wanted.required, *wanted.optional)
            if data.get(key)
        }

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
            _log.warning("%s", text)


def references(environment: Environment) -> Iterator[SecretReference]:
    """Every reference in the file that is a variable or a file, in the file's order."""
    yield environment.state.passphrase
    if environment.state.credentials is not None:
        yield from key_references(environment.state.credentials).values()
    for model in environment.models:
        yield from model.source.chosen.secrets.references.values()


def _unreadable(what: str, remedy: str) -> PreconditionError:
    return PreconditionError(what, remedy=remedy, code="secret-unreadable")


def _named(reference: SecretReference) -> str:
    if isinstance(reference, EnvReference):
        return f"environment variable {reference.env}"
    return f"secret file {reference.file}"


def _sound(value: str, named: str) -> str:
    if wrong := secret_text.flaw(value):
        raise PreconditionError(
            f"{named} holds {wrong}",
            remedy="Write the value alone, in one line; white space around it does no harm.",
            code="secret-malformed",
        )
    return value


def _read(path: Path) -> bytes:
    """What the file or pipe holds, up to one byte more than a secret may have. A pipe whose writer says nothing ends
    as a time-out (``OSError``), not as a wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = b""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(content) <= _LARGEST:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(errno.ETIMEDOUT, "its writer says nothing")
            part = os.read(descriptor, _LARGEST + 1 - len(content))
            if not part:
                break
            content += part
        return content
    finally:
        os.close(descriptor)


def _overlay_path(environ: Mapping[str, str]) -> Path | None:
    written = environ.get(OVERLAY_VARIABLE)
    return Path(written) if written else None


def _read_overlay(path: Path | None) -> Mapping[str, str]:
    if path is None:
        return {}
    remedy = f"Unset {OVERLAY_VARIABLE} to read the references directly."
    try:
        status = path.stat()
        if status.st_mode & 0o077:
            raise PreconditionError(
                f"{path}, named by {OVERLAY_VARIABLE}, is open to other users (mode {stat.S_IMODE(status.st_mode):04o})",
                remedy=f"chmod 600 {path}",
                code="secret-exposed",
            )
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"{path}, named by {OVERLAY_VARIABLE}, cannot be read: {error.strerror}"
        raise _unreadable(what, remedy) from error
    except ValueError:
        parsed = None  # the parser's message would quote the content, so it is not chained
    if not isinstance(parsed, dict) or not all(isinstance(value, str) for value in parsed.values()):
        raise _unreadable(f"{path}, named by {OVERLAY_VARIABLE}, is not a JSON object of strings", remedy)
    return parsed
