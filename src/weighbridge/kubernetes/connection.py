"""HTTP to one API server as its kubeconfig says: trust, client certificates, proxies, server name, impersonation,
logins.

It is a transport for lightkube's client, which supports too few of these. Keys go from memory into TLS, never through
a disk.
"""

import os
import ssl
import threading
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx

from weighbridge import trust
from weighbridge.kubernetes.kubeconfig import Chosen, Pem
from weighbridge.kubernetes.kubeconfig_rules import is_web_url
from weighbridge.kubernetes.login import Credential, Login
from weighbridge.memory import memory_file
from weighbridge.mover.proxies import ProxySettings, chosen_proxy


def proxy_to(chosen: Chosen, settings: ProxySettings, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the proxy before the API server; ``None``: connect directly. Raise ``PreconditionError`` unless it is http(s)."""
    parts = urlsplit(chosen.server)
    found = chosen.proxy_url or chosen_proxy(
        parts.scheme, parts.hostname or "", settings, os.environ if environ is None else environ, parts.port
    )
    if not found:
        return None
    url = found if "://" in found else f"http://{found}"
    if not is_web_url(url):
        shown = url.rpartition("@")[2] if "@" in url else url
        raise chosen.refused(f"the proxy {shown} is no http(s) proxy", "name it as http://host:port")
    return url


class Connection(httpx.BaseTransport):
    """Several threads may use it."""

    def __init__(
        self,
        chosen: Chosen,
        login: Login,
        *,
        proxy: str | None,
        ca_bundle: Path | None,
        helper_seconds: float,
    ) -> None:
        self._chosen, self._login, self._proxy = chosen, login, proxy
        self._ca_bundle, self._seconds = ca_bundle, helper_seconds
        self._lock = threading.Lock()
        self._certificate: Pem | None = chosen.certificate
        self._inner = self._dialler(chosen.certificate)
        self._before: list[httpx.HTTPTransport] = []
        self._headers = _headers(chosen)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        credential = self._login.current(self._seconds)
        response = self._sent(request, credential)
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return response
        other = self._login.renewed(credential, self._seconds)
        if other is None:
            return response
        response.close()
        return self._sent(request, other)

    def close(self) -> None:
        for each in (*self._before, self._inner):
            each.close()

    def _sent(self, request: httpx.Request, credential: Credential) -> httpx.Response:
        for name, _ in self._headers:
            request.headers.pop(name, None)
        own = [] if credential.authorization is None else [("Authorization", credential.authorization)]
        kept = [pair for pair in request.headers.multi_items() if pair[0].lower() != "authorization"]
        request.headers = httpx.Headers([*kept, *self._headers, *own])
        if self._chosen.server_name:
            request.extensions = {**request.extensions, "sni_hostname": self._chosen.server_name}
        return self._dialled_with(credential.certificate).handle_request(request)

    def _dialled_with(self, certificate: Pem | None) -> httpx.HTTPTransport:
        """Return the transport. A new certificate needs new connections; the old ones stay open for their readers."""
        with self._lock:
            if certificate != self._certificate:
                self._before.append(self._inner)
                self._inner, self._certificate = self._dialler(certificate), certificate
            return self._inner

    def _dialler(self, certificate: Pem | None) -> httpx.HTTPTransport:
        proxy = None
        if self._proxy is not None:
            secure = urlsplit(self._proxy).scheme == "https"
            proxy = httpx.Proxy(self._proxy, ssl_context=self._beside_the_system() if secure else None)
        return httpx.HTTPTransport(verify=self._tls(certificate), trust_env=False, proxy=proxy)

    def _tls(self, certificate: Pem | None) -> ssl.SSLContext:
        chosen = self._chosen
        if chosen.ca is not None:
            try:
                made = ssl.create_default_context(cadata=chosen.ca)
            except ssl.SSLError as error:
                raise chosen.refused(
                    "cluster.certificate-authority holds no certificate in PEM",
                    "put the cluster's CA there (oc login, or kubectl config set-cluster --certificate-authority)",
                ) from error
        else:
            made = self._beside_the_system()
        if chosen.insecure:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        if certificate is not None:
            _show(made, certificate, chosen)
        return made

    def _beside_the_system(self) -> ssl.SSLContext:
        try:
            return trust.context(self._ca_bundle)
        except OSError as error:
            raise self._chosen.refused(
                f"trust.ca_bundle {self._ca_bundle} cannot be used: {error}",
                "name a file of PEM certificates",
            ) from error


def _show(context: ssl.SSLContext, certificate: Pem, chosen: Chosen) -> None:
    try:
        with (
            memory_file("certificate", certificate.certificate) as shown,
            memory_file("key", certificate.key) as key,
        ):
            context.load_cert_chain(shown, key, password="")
    except (OSError, ValueError) as error:
        raise chosen.refused(
            "the client certificate and its key cannot be used: they are not PEM, are encrypted, or do not belong together",
            "log in again",
        ) from error


def _headers(chosen: Chosen) -> list[tuple[str, str]]:
    """Return the impersonation headers (Kubernetes, "Authenticating", "User impersonation")."""
    found = [] if chosen.user is None else [("Impersonate-User", chosen.user)]
    found += [("Impersonate-Group", group) for group in chosen.groups]
    return found if chosen.compression else [*found, ("Accept-Encoding", "identity")]
