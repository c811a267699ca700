"""An API server behind TLS, for what happens before a request is understood: trust, certificates, names, logins, proxies."""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

UID = "11111111-2222-3333-4444-555555555555"


@dataclass
class TlsApi:
    """``accepts``: bearer tokens or certificates' names that are let in; ``None``: everybody."""

    url: str
    folder: Path
    ca: str
    authority: trustme.CA
    accepts: set[str] | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)
    """Headers of each request, lists by lower-case name; ``certificate``: the client's common name."""

    def client(self, name: str) -> tuple[str, str]:
        """Certificate and key of somebody the server can tell."""
        made = self.authority.issue_cert(f"{name}.test", common_name=name)
        return "".join(
            pem.bytes().decode() for pem in made.cert_chain_pems
        ), made.private_key_pem.bytes().decode()


@contextlib.contextmanager
def tls_api(folder: Path, name: str = "127.0.0.1") -> Iterator[TlsApi]:
    """``name``: what the server's certificate is for; it listens on loopback in any case."""
    authority = trustme.CA()
    ca = authority.cert_pem.bytes().decode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    context.load_verify_locations(cadata=ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    api = TlsApi("", folder, ca, authority)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers: dict[str, Any] = {key.lower(): self.headers.get_all(key) for key in self.headers}
            shown = self.connection.getpeercert()
            pairs = [pair for rows in (shown or {}).get("subject", ()) for pair in rows]
            headers["certificate"] = dict(pairs).get("commonName")
            api.seen.append(headers)
            who = {headers["certificate"], (headers.get("authorization") or [""])[0].rpartition(" ")[2]}
            welcome = api.accepts is None or bool(who & api.accepts)
            body: dict[str, Any] = {"metadata": {"name": "kube-system", "uid": UID}}
            if not welcome:
                body = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}
            data = json.dumps(body).encode()
            self.send_response(200 if welcome else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    api.url = f"https://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
