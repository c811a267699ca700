"""Everything that has to lie in the sandbox's folder before the first process starts."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from weighbridge_sandbox import node_config, pki, process_config
from weighbridge_sandbox.layout import Layout


def texts(layout: Layout) -> Mapping[Path, str]:
    """Configuration files and their content; no secret is in any."""
    return {
        layout.cni / "10-sandbox.conflist": node_config.cni_network(layout),
        layout.configs / "containerd.toml": node_config.containerd(layout),
        layout.configs / "kubelet.json": node_config.kubelet(layout),
        layout.configs / "resolv.conf": "",
        layout.supervisor / "supervisord.conf": process_config.supervisor(
            layout, process_config.processes(layout)
        ),
    }


def is_current(layout: Layout) -> bool:
    """Whether what lies there is what would be written now."""
    return all(path.exists() and path.read_text() == text for path, text in texts(layout).items())


def write(layout: Layout) -> bool:
    """Make folders, certificates, kubeconfigs, credentials and configuration; returns whether certificates are new."""
    private = (layout.etcd, layout.s3, layout.supervisor)
    shared = (layout.configs, layout.cni, layout.logs, layout.volumes, layout.kubelet, layout.containerd)
    for folder in (*private, *shared, layout.s3 / "data"):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in private:
        folder.chmod(0o700)
    issued = pki.ensure(layout)
    pki.write_kubeconfig(layout, "admin", layout.kubeconfig)
    for user in ("controller-manager", "scheduler", "kubelet"):
        pki.write_kubeconfig(layout, user, layout.configs / f"{user}.kubeconfig")
    _secret(layout.s3_access_key, "sandbox-" + secrets.token_hex(6))
    _secret(layout.s3_secret_key, secrets.token_urlsafe(30))
    _secret(layout.passphrase, secrets.token_urlsafe(30))
    for path, text in texts(layout).items():
        path.write_text(text)
    return issued


def _secret(path: Path, value: str) -> None:
    if path.exists() and path.stat().st_size:
        return
    path.touch(mode=0o600)
    path.write_text(value + "\n")
