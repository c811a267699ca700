"""Configuration files of the node's parts: pure text from a Layout."""

import json

from weighbridge_sandbox.layout import (
    BRIDGE,
    GATEWAY,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    PAUSE_IMAGE,
    POD_SUBNET,
    Layout,
)

CNI_PLUGINS = "/usr/lib/cni"


def cni_network(layout: Layout) -> str:
    """Pods on one bridge, addresses from a file. The bridge has its address from `up`: `isGateway` would switch on
    forwarding for the whole machine, and masquerading would leave iptables rules; pods need neither.
    """
    network = {
        "cniVersion": "0.4.0",
        "name": "weighbridge-sandbox",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": False,
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": f"{layout.cni}/leases",
                    "ranges": [[{"subnet": POD_SUBNET, "gateway": GATEWAY, "rangeStart": "10.213.77.10"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }
    return json.dumps(network, indent=2) + "\n"


def containerd(layout: Layout) -> str:
    """In containerd 1.6's own format (2.x converts it): own root, state and socket, nothing below /var or /run."""
    return f"""version = 2
root = "{layout.containerd}/root"
state = "{layout.containerd}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{layout.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{CNI_PLUGINS}"
  conf_dir = "{layout.cni}"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{layout.containerd}/state/runc"
"""


def kubelet(layout: Layout) -> str:
    """KubeletConfiguration that works with cgroup v1 or v2, swap, and without CAP_SYS_RESOURCE.

    Images are never collected (there is no registry to fetch them again from), a nearly full disk of the machine is
    not the sandbox's business, and the kubelet leaves iptables alone.
    """
    document = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{layout.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{layout.pki}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "clusterDNS": ["127.0.0.1"],  # none is there; a look-up in a pod is refused at once
        "clusterDomain": "cluster.local",
        "resolvConf": f"{layout.configs}/resolv.conf",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "volumePluginDir": f"{layout.kubelet}/volume-plugins",
        "podLogsDir": f"{layout.logs}/pods",
        "staticPodPath": "",
        "syncFrequency": "20s",
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }
    return json.dumps(document, indent=2) + "\n"
