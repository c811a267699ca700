"""The certificate authorities that a program of this machine trusts: the system's, and those of ``trust.ca_bundle``
besides.

The system's are found where OpenSSL and Go look (``SSL_CERT_FILE``, ``SSL_CERT_DIR``, then the usual files; Go's
``crypto/x509/root_linux.go``). Programs that accept only one file get both in one text.
"""

import os
import re
import ssl
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from weighbridge.memory import in_memory, path_of

_USUAL: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def system_bundle(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the file of the system's authorities; ``None`` if there is none, or only a folder of them."""
    named = (os.environ if environ is None else environ).get("SSL_CERT_FILE")
    if named:
        return Path(named)
    own = ssl.get_default_verify_paths().openssl_cafile
    return next((Path(place) for place in (own, *_USUAL) if Path(place).is_file()), None)


def pem_blocks(content: bytes) -> str:
    """Return the blocks of a PEM file, empty if there are none. The text between them may be in any language (RFC
    7468, 2): Red Hat's bundles name each authority in UTF-8, but libraries that take a text accept only ASCII.
    """
    blocks = (found.group().decode("ascii", "ignore") for found in _BLOCK.finditer(content))
    return "".join(f"{block}\n" for block in blocks)


def context(ca_bundle: Path | None = None) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities and those of ``ca_bundle``. Raise ``OSError``
    (``ssl.SSLError`` is one) if the file cannot be used.
    """
    made = ssl.create_default_context()
    if ca_bundle is not None:
        made.load_verify_locations(ca_bundle)
    return made


def bundle_text(ca_bundle: Path | None, environ: Mapping[str, str] | None = None) -> str:
    """Return both as PEM. Raise ``OSError`` if ``ca_bundle`` cannot be read; skip a file of the system that cannot be read."""
    own = "" if ca_bundle is None else pem_blocks(ca_bundle.read_bytes())
    named = system_bundle(environ)
    system = "" if named is None else _readable(named)
    return (system or _folder_text((os.environ if environ is None else environ).get("SSL_CERT_DIR"))) + own


def bundle_file(ca_bundle: Path | None) -> str:
    """Return the path of one file with both, for a library. Valid while this process lives. Raise ``OSError`` like
    ``bundle_text``.
    """
    system = system_bundle()
    if ca_bundle is None and system is not None:
        return str(system)
    return _kept(bundle_text(ca_bundle))


@lru_cache(maxsize=8)
def _kept(text: str) -> str:
    if hasattr(os, "memfd_create"):
        return path_of(in_memory("trust", text))
    import tempfile  # noqa: PLC0415 - certificates of authorities are not secret

    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(text)
    return file.name


def _folder_text(folders: str | None) -> str:
    """Return the text of folders with one certificate in each file, such as ``/etc/ssl/certs``."""
    places = folders or ssl.get_default_verify_paths().openssl_capath
    files = [file for place in places.split(os.pathsep) for file in sorted(Path(place).glob("*.[0-9pc]*"))]
    return "".join(dict.fromkeys(text for file in files if "BEGIN CERTIFICATE" in (text := _readable(file))))


def _readable(file: Path) -> str:
    try:
        return pem_blocks(file.read_bytes())
    except OSError:
        return ""
