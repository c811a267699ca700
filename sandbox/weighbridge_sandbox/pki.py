"""Certificates of the cluster, issued by an authority of its own (trustme), and the kubeconfigs that hold them."""

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from weighbridge_sandbox.layout import API_PORT, CONTEXT, GATEWAY, NODE, Layout

MASTERS = "system:masters"


@dataclass(frozen=True)
class Certificate:
    """Who a certificate speaks for: subject, groups (Kubernetes reads O as the group), names and addresses."""

    file: str
    common_name: str
    organization: str | None = None
    names: tuple[str, ...] = ()


SERVER_NAMES = ("localhost", "127.0.0.1", "10.213.78.1", GATEWAY, "kubernetes", "kubernetes.default.svc")
CERTIFICATES = (
    Certificate("etcd", "etcd", names=("localhost", "127.0.0.1")),
    Certificate("apiserver", "kube-apiserver", names=SERVER_NAMES),
    # The kubelet answers Unauthorized to a client certificate without a common name.
    Certificate("apiserver-kubelet", "kube-apiserver-kubelet-client", MASTERS),
    Certificate("apiserver-etcd", "kube-apiserver-etcd-client"),
    Certificate("kubelet", f"system:node:{NODE}", "system:nodes", names=(NODE, "127.0.0.1")),
    Certificate("controller-manager", "system:kube-controller-manager"),
    Certificate("scheduler", "system:kube-scheduler"),
    Certificate("admin", "weighbridge-sandbox-admin", MASTERS),
)


def ensure(layout: Layout) -> bool:
    """Issue everything once, as one set; returns whether anything was issued. Keys are files of mode 0600."""
    complete = layout.pki / "complete"
    if complete.exists() and complete.read_text() == repr(CERTIFICATES):
        return False
    shutil.rmtree(layout.pki, ignore_errors=True)
    layout.pki.mkdir(mode=0o700, parents=True)
    authority = trustme.CA(organization_name="weighbridge-sandbox")
    _write(layout.pki / "ca.crt", authority.cert_pem.bytes())
    for wanted in CERTIFICATES:
        # Without any name trustme leaves an empty critical extension, which Go refuses.
        names = wanted.names or (f"{wanted.file}.client",)
        issued = authority.issue_cert(
            *names, common_name=wanted.common_name, organization_name=wanted.organization
        )
        _write(layout.pki / f"{wanted.file}.crt", b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        _write(layout.pki / f"{wanted.file}.key", issued.private_key_pem.bytes())
    signer = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(
        layout.pki / "service-accounts.key",
        signer.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    )
    _write(
        layout.pki / "service-accounts.pub",
        signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )
    complete.write_text(repr(CERTIFICATES))
    return True


def kubeconfig(authority: bytes, certificate: bytes, key: bytes) -> str:
    """A kubeconfig with everything inside; cluster, user and context are all named `weighbridge-sandbox`."""

    def inline(blob: bytes) -> str:
        return base64.b64encode(blob).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {
                    "server": f"https://127.0.0.1:{API_PORT}",
                    "certificate-authority-data": inline(authority),
                },
            }
        ],
        "users": [
            {
                "name": CONTEXT,
                "user": {"client-certificate-data": inline(certificate), "client-key-data": inline(key)},
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    return json.dumps(document, indent=2) + "\n"  # JSON is YAML


def write_kubeconfig(layout: Layout, user: str, path: Path) -> None:
    """Write the kubeconfig of one of CERTIFICATES (mode 0600)."""
    pem = {end: (layout.pki / f"{user}.{end}").read_bytes() for end in ("crt", "key")}
    _write(path, kubeconfig((layout.pki / "ca.crt").read_bytes(), pem["crt"], pem["key"]).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
