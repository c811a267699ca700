"""Where everything of the sandbox lies, and the addresses it listens on."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weighbridge.domain.lease import SILENCE_VARIABLE

CONTEXT = "weighbridge-sandbox"
NODE = "localhost"
BRIDGE = "wbsbx0"
GATEWAY = "10.213.77.1"
POD_SUBNET = "10.213.77.0/24"
SERVICE_SUBNET = "10.213.78.0/24"
S3_PORT = 27070
API_PORT = 27443
ETCD_PORT = 27379
ETCD_PEER_PORT = 27380
KUBELET_PORT = 27250
KUBELET_HEALTH_PORT = 27248
CONTROLLER_PORT = 27257
SCHEDULER_PORT = 27259
S3_ENDPOINT = f"http://{GATEWAY}:{S3_PORT}"
SILENCE = {SILENCE_VARIABLE: "30"}
"""For whoever talks to the sandbox: a run that was killed is known to be dead sooner than elsewhere."""
BUCKETS = ("models", "weighbridge-state")
OPERANDS = "cpd-instance"
MOVER_IMAGE = "weighbridge.local/mover:sandbox"
PAUSE_IMAGE = "weighbridge.local/pause:sandbox"
LONGEST_HOME = 64  # bytes; the kernel's 107 for a unix socket's path, less the longest tail the kubelet adds

LISTENERS: Mapping[str, tuple[str, int]] = {
    "etcd": ("127.0.0.1", ETCD_PORT),
    "etcd (peers)": ("127.0.0.1", ETCD_PEER_PORT),
    "kube-apiserver": ("127.0.0.1", API_PORT),
    "kube-controller-manager": ("127.0.0.1", CONTROLLER_PORT),
    "kube-scheduler": ("127.0.0.1", SCHEDULER_PORT),
    "kubelet": ("127.0.0.1", KUBELET_PORT),
    "kubelet (health)": ("127.0.0.1", KUBELET_HEALTH_PORT),
    "s3": (GATEWAY, S3_PORT),
}


def default_home(environ: Mapping[str, str]) -> Path:
    """The folder of the sandbox's state: `WEIGHBRIDGE_SANDBOX_HOME`, or its place under `XDG_STATE_HOME`."""
    if chosen := environ.get("WEIGHBRIDGE_SANDBOX_HOME"):
        return Path(chosen).expanduser().absolute()
    if state := environ.get("XDG_STATE_HOME"):
        return Path(state).absolute() / "weighbridge-sandbox"
    return Path(environ.get("HOME") or Path.home()) / ".local" / "state" / "weighbridge-sandbox"


@dataclass(frozen=True)
class Layout:
    """Names of all files and folders below `home`; `tools` alone outlives `reset`."""

    home: Path

    @classmethod
    def from_environment(cls) -> "Layout":
        """The layout that this process' environment chooses."""
        return cls(default_home(os.environ))

    @property
    def tools(self) -> Path:
        """Built programs and images."""
        return self.home / "tools"

    @property
    def bin(self) -> Path:
        """Built programs; first on the PATH that `env` prints."""
        return self.tools / "bin"

    @property
    def stamps(self) -> Path:
        """One file for each built thing, saying what it was built from."""
        return self.tools / "stamps"

    @property
    def images(self) -> Path:
        """Container images as docker-archive files."""
        return self.tools / "images"

    @property
    def pki(self) -> Path:
        """Certificate authority, certificates and keys (0700)."""
        return self.home / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.home / "kubeconfig"

    @property
    def configs(self) -> Path:
        """Configuration files rendered at each `up`."""
        return self.home / "config"

    @property
    def cni(self) -> Path:
        """The one CNI network."""
        return self.configs / "cni"

    @property
    def containerd(self) -> Path:
        """Images and, below `state`, what runs."""
        return self.home / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """Where the CRI listens."""
        return self.containerd / "containerd.sock"

    @property
    def kubelet(self) -> Path:
        """The kubelet's root folder."""
        return self.home / "kubelet"

    @property
    def etcd(self) -> Path:
        """The cluster's objects."""
        return self.home / "etcd"

    @property
    def volumes(self) -> Path:
        """Loop files and their mounts; the provisioner's."""
        return self.home / "volumes"

    @property
    def s3(self) -> Path:
        """Credentials of the S3 server and, below `data`, its buckets."""
        return self.home / "s3"

    @property
    def s3_access_key(self) -> Path:
        """Access key id (0600)."""
        return self.s3 / "access-key"

    @property
    def s3_secret_key(self) -> Path:
        """Secret access key (0600)."""
        return self.s3 / "secret-key"

    @property
    def passphrase(self) -> Path:
        """Pulumi's passphrase for secrets in its state (0600)."""
        return self.home / "pulumi-passphrase"

    @property
    def logs(self) -> Path:
        """Standard output and error of every process."""
        return self.home / "logs"

    @property
    def supervisor(self) -> Path:
        """The process manager's configuration, socket and pid."""
        return self.home / "supervisor"

    @property
    def supervisor_socket(self) -> Path:
        """Where supervisord answers."""
        return self.supervisor / "supervisor.sock"

    @property
    def host_settings(self) -> Path:
        """Kernel settings as they were before the kubelet changed them."""
        return self.home / "host-settings.json"

    @property
    def lock(self) -> Path:
        """Held while a verb that changes anything works."""
        return self.home / "lock"
