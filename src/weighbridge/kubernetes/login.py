"""How we log in to the API server: tokens, certificates and login helpers (kubernetes.io, "Client Authentication").

A helper gets its own deadline, no terminal and no secret of ours. Its credential is kept in memory until it expires,
and every connection of this process shares it, as in client-go.
"""

import base64
import json
import os
import shutil
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.kubeconfig import Chosen, Helper, Pem
from weighbridge.kubernetes.kubeconfig_rules import header_flaw
from weighbridge.processes.limited import last_words, run_limited
from weighbridge.processes.variables import Child, Outside, variables_for

HELPER_SECONDS: Final = 60.0
"""For a login helper: some open a browser, where a person has to act."""
_MARGIN_SECONDS: Final = 10.0
"""Ask for a new credential this long before the old one expires."""
_SAID: Final = 300


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request carries. It is never shown."""

    authorization: str | None = field(default=None, repr=False)
    certificate: Pem | None = field(default=None, repr=False)
    expires: float | None = None
    """Seconds since 1970."""


class Login(Protocol):
    """Several threads may use it. Its methods raise only ``PreconditionError``."""

    def current(self, seconds: float) -> Credential:
        """Return the present credential; take at most ``seconds`` if a helper has to be asked."""
        ...

    def renewed(self, refused: Credential, seconds: float) -> Credential | None:
        """Return another credential than ``refused``, which got a 401; ``None`` if there is none."""
        ...


def login_for(chosen: Chosen, outside: Outside) -> Login:
    """Return the login of a context. Nothing is read or started yet. Static tokens win over helpers, as in client-go."""
    if chosen.token_file is not None:
        return _TokenFile(chosen, chosen.token_file)
    if chosen.token is not None:
        return _Fixed(Credential(f"Bearer {chosen.token}", chosen.certificate))
    if chosen.basic is not None:
        pair = base64.b64encode(":".join(chosen.basic).encode()).decode()
        return _Fixed(Credential(f"Basic {pair}", chosen.certificate))
    if chosen.helper is not None:
        with _SHARED_LOCK:
            key = (chosen.where, chosen.helper, outside)
            return _SHARED.setdefault(key, _ByHelper(chosen, chosen.helper, outside))
    return _Fixed(Credential(None, chosen.certificate))


@dataclass(frozen=True, slots=True)
class _Fixed:
    credential: Credential

    def current(self, seconds: float) -> Credential:
        del seconds
        return self.credential

    def renewed(self, refused: Credential, seconds: float) -> Credential | None:
        del refused, seconds
        return None


@dataclass(frozen=True, slots=True)
class _TokenFile:
    """Read the file for each request: the kubelet replaces it."""

    chosen: Chosen
    file: Path

    def current(self, seconds: float) -> Credential:
        del seconds
        try:
            token = self.file.read_bytes().decode("utf-8", "surrogateescape").strip()
        except OSError as error:
            raise self.chosen.refused(
                f"tokenFile {self.file} cannot be read: {error.strerror}", "log in again"
            ) from error
        if flaw := "nothing" if not token else header_flaw(token):
            raise self.chosen.refused(f"tokenFile {self.file} is no token: it holds {flaw}", "log in again")
        return Credential(f"Bearer {token}", self.chosen.certificate)

    def renewed(self, refused: Credential, seconds: float) -> Credential | None:
        found = self.current(seconds)
        return found if found != refused else None


class _ByHelper:
    def __init__(self, chosen: Chosen, helper: Helper, outside: Outside) -> None:
        self._chosen, self._helper, self._outside = chosen, helper, outside
        self._lock = threading.Lock()
        self._known: Credential | None = None

    def current(self, seconds: float) -> Credential:
        known = self._known
        return known if known is not None and _lasts(known) else self._asked(known, seconds)

    def renewed(self, refused: Credential, seconds: float) -> Credential | None:
        return self._asked(refused, seconds)

    def _asked(self, stale: Credential | None, seconds: float) -> Credential:
        """Return a new credential, or the one that another thread has just got."""
        began = time.monotonic()
        if not self._lock.acquire(timeout=seconds):
            raise self._failed(f"still has not answered another request after {seconds:g} s")
        try:
            known = self._known
            if known is not None and known is not stale and known != stale and _lasts(known):
                return known
            said = self._run(max(1.0, seconds - (time.monotonic() - began)))
            self._known = self._parsed(said)
            return self._known
        finally:
            self._lock.release()

    def _run(self, seconds: float) -> bytes:
        helper = self._helper
        info: dict[str, Any] = {
            "apiVersion": helper.api_version,
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        if helper.cluster_info is not None:
            info["spec"]["cluster"] = json.loads(helper.cluster_info)
        env = {
            **variables_for(Child.HELPER, self._outside),
            **dict(helper.env),
            "KUBERNETES_EXEC_INFO": json.dumps(info),
        }
        program = shutil.which(helper.command, path=env.get("PATH", os.defpath))
        if program is None:
            hint = " ".join(helper.install_hint.split())
            raise self._chosen.refused(
                f"the login helper {helper.command} is not there, or no program",
                hint[:_SAID] or f"install {helper.command}, put it on PATH, or log in another way",
            )
        try:
            code, out, err = run_limited([program, *helper.args], env, seconds)
        except TimeoutError as error:
            raise self._failed(f"did not answer within {seconds:.0f} s and was ended") from error
        except (OSError, ValueError) as error:  # ValueError: an argument or a variable holds a NUL
            raise self._failed(
                f"cannot be started: {getattr(error, 'strerror', None) or 'its arguments or variables hold what none can'}"
            ) from error
        if code != 0:
            how = f"ended with code {code}" if code > 0 else f"was ended by signal {-code}"
            words = last_words(err, env, (os.environ.get(name, "") for name in self._outside.withheld))
            raise self._failed(how + (f": {words}" if words else ""))
        return out

    def _parsed(self, said: bytes) -> Credential:
        """Parse the helper's answer. Never quote it: it holds the credential."""
        try:
            answer = json.loads(said)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
            raise self._failed("does not answer with an ExecCredential in JSON")
        if answer.get("apiVersion") != self._helper.api_version:
            wanted, found = self._helper.api_version, str(answer.get("apiVersion"))[:80]
            raise self._failed(
                f"answers in {found!r}, and the kubeconfig says {wanted}", "write the version that it speaks"
            )
        status = answer.get("status")
        status = status if isinstance(status, dict) else {}
        token, certificate, key, until = (
            status.get(name) or None
            for name in ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
        )
        if not all(value is None or isinstance(value, str) for value in (token, certificate, key, until)):
            raise self._failed("answers with a status of other types than text")
        if (certificate is None) is not (key is None) or (token is None and certificate is None):
            raise self._failed("answers with neither a token nor a certificate and its key")
        if flaw := header_flaw((token or "").strip()):
            raise self._failed(f"answers with a token that no header can carry: it holds {flaw}")
        return Credential(
            f"Bearer {token.strip()}" if token else None,
            Pem(certificate, key) if certificate and key else self._chosen.certificate,
            self._expiry(until) if until else None,
        )

    def _expiry(self, text: str) -> float:
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError) as error:
            raise self._failed("answers with an expirationTimestamp that is no time") from error

    def _failed(self, how: str, remedy: str | None = None) -> PreconditionError:
        withheld = sorted(self._outside.withheld & os.environ.keys())
        note = (
            f"; it is not given the secrets of the environment file ({', '.join(withheld)})"
            if withheld
            else ""
        )
        return PreconditionError(
            f"{self._chosen.where}: the login helper {self._helper.command} {how}",
            remedy=remedy
            or f"log in again, or see what it says to: kubectl --context={self._chosen.name!r} get --raw /version{note}",
            code="login-helper",
        )


_SHARED: dict[tuple[str, Helper, Outside], _ByHelper] = {}
_SHARED_LOCK = threading.Lock()


def _lasts(credential: Credential) -> bool:
    return credential.expires is None or credential.expires - time.time() > _MARGIN_SECONDS
