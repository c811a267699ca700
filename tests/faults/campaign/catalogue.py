"""Every fault that is tried."""

from faults.campaign.draw import Fault

_ALL = frozenset({"plan", "storage", "weights", "registration", "operator", "destroy"})
_PULUMI = frozenset({"plan", "storage", "registration", "destroy"})
_WEIGHTS = frozenset({"weights"})
_SOURCE = frozenset({"plan", "weights"})
_KILLED = frozenset({-9, 0})
_ASKED = frozenset({130, 0})
"""0 where the request came when all was done; the signal itself where nothing had begun."""

CATALOGUE: tuple[Fault, ...] = (
    Fault("kill-orchestrator", "kill -9 of weighbridge itself", _ALL, exits=_KILLED),
    Fault("kill-everything", "kill -9 of weighbridge and every process below it", _ALL, exits=_KILLED),
    Fault(
        "kill-after-receipt",
        "kill -9 of everything as soon as the receipt is recorded, before the pods and keys are removed",
        _WEIGHTS,
        exits=_KILLED,
    ),
    Fault("kill-pulumi", "kill -9 of the Pulumi CLI", _PULUMI),
    Fault("kill-provider", "kill -9 of our Pulumi provider", frozenset({"plan", "registration", "destroy"})),
    Fault(
        "kill-kubernetes-provider", "kill -9 of Pulumi's Kubernetes provider", frozenset({"plan", "storage"})
    ),
    Fault("kill-guard", "kill -9 of the guard process between us and Pulumi or Ansible", _ALL - {"operator"}),
    Fault("kill-ansible", "kill -9 of ansible-playbook", _WEIGHTS),
    Fault("kill-rsync", "kill -9 of rsync on this machine", _WEIGHTS, routes=("push",)),
    Fault("kill-port-forward", "kill -9 of kubectl port-forward", _WEIGHTS, routes=("push",)),
    Fault("kill-mover", "kill -9 of the mover in its pod", _WEIGHTS),
    Fault("kill-daemon", "kill -9 of the rsync daemon in its pod", _WEIGHTS, routes=("push",)),
    Fault("ctrl-c", "Ctrl-C (SIGINT to the process group)", _ALL, exits=_ASKED | {-2}),
    Fault("sigterm", "SIGTERM, as a pipeline's cancel button sends it", _ALL, exits=_ASKED | {-15}),
    Fault("hang-up", "SIGHUP: the terminal was closed", _ALL, exits=_ASKED | {-1}),
    Fault("pod-deleted", "the pod is deleted without grace", _WEIGHTS),
    Fault("pod-evicted", "the pod is evicted (policy/v1 Eviction)", _WEIGHTS),
    Fault("job-deleted", "the mover's Job is deleted under it", _WEIGHTS),
    Fault("volume-full", "the volume is full", _WEIGHTS),
    Fault(
        "forged-on-volume",
        "somebody plants the set that is to come on the volume: published with a receipt, in flight with a journal, or a link in its place",
        _WEIGHTS,
        follows=False,
    ),
    Fault("login-helper", "the kubeconfig's login helper fails, hangs or talks for a while", _ALL),
    Fault("s3-stall", "S3 stops in the middle of an object, then breaks off", _SOURCE),
    Fault("s3-reset", "S3 resets connections in the middle of objects", _SOURCE),
    Fault("s3-500", "S3 answers 500 InternalError", _SOURCE),
    Fault("s3-slow-down", "S3 answers 503 SlowDown", _SOURCE),
    Fault("s3-truncates", "S3 ends objects early", _SOURCE),
    Fault("s3-flips-a-bit", "one bit of an object differs on its way", _SOURCE),
    Fault("s3-delay", "S3 answers seconds late", _SOURCE),
    Fault("s3-outage", "S3 breaks off every connection for a while", _SOURCE),
    Fault("token-expires", "S3 calls the token expired for a while", _SOURCE),
    Fault("keys-rotated", "the S3 keys are replaced; the next run has the new ones", _SOURCE, follows=False),
    Fault("clock-skew", "S3's clock is an hour off", _SOURCE),
    Fault("source-changes", "the source is overwritten during the run", _SOURCE, follows=False),
    Fault(
        "kill-operator",
        "kill -9 of the IFM operator's stand-in",
        frozenset({"registration", "operator"}),
        shared=True,
    ),
    Fault(
        "operator-silent",
        "the operator never answers; the deadline is short",
        frozenset({"registration"}),
        shared=True,
        exits=frozenset({4}),
        follows=False,
    ),
    Fault("kill-api-server", "kill -9 of the Kubernetes API server", _ALL, shared=True),
    Fault("kill-s3", "kill -9 of the S3 server (source and Pulumi's state)", _ALL, shared=True),
    Fault("kill-kubelet", "kill -9 of the kubelet", _WEIGHTS, shared=True),
    Fault(
        "kill-controllers",
        "kill -9 of the controller manager",
        frozenset({"storage", "weights"}),
        shared=True,
    ),
)
