"""Pulumi stacks against the sandbox, for tests: specs, an adapter as wiring makes it, and a look at what is left."""

import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support.login import context_of, log_in
from weighbridge.domain.naming import claim_name, object_labels
from weighbridge.domain.stacks import ClusterIdentity, Manifest, Stack, StackSpec
from weighbridge.engines.pulumi.backend import parse_backend
from weighbridge.engines.pulumi.command import Limits
from weighbridge.engines.pulumi.environment import StateSecrets
from weighbridge.engines.pulumi.stacks import PulumiSettings, PulumiStacks
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.steps.storage.stack import STORAGE

MODELS = ("a", "b", "slow")
A, B, SLOW = (claim_name("lab", model) for model in MODELS)

PASSPHRASE = "planted-passphrase-5d1f"


def kubectl(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Lab:
    """One namespace and one state."""

    namespace: str
    folder: Path
    backend: str = "file://state"
    uid: str = field(
        default_factory=lambda: kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    )

    @property
    def cluster(self) -> ClusterIdentity:
        return ClusterIdentity(uid=self.uid, namespace=self.namespace, context=self.context)

    @property
    def context(self) -> str:
        """The login that ``log_in`` made."""
        return context_of("lab", self.namespace)

    def log_in(self) -> None:
        """Grant environment ``lab`` its Roles and policy."""
        classes = ("sandbox-rwx", self.growing_class, "sandbox-pending")
        log_in("lab", self.namespace, *MODELS, classes=classes)

    @property
    def growing_class(self) -> str:
        """Name of a storage class whose volumes grow; to be made where it is needed."""
        return f"growing-{self.namespace}"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def stacks(
        self,
        *,
        passphrase: str = PASSPHRASE,
        kubeconfig: str | None = None,
        cache: str = "cache",
        limits: Limits | None = None,
        **more: Any,
    ) -> PulumiStacks:
        keys = more.pop("keys", None)
        settings = PulumiSettings(
            backend=parse_backend(self.backend, self.folder),
            secrets=StateSecrets(passphrase=passphrase, keys=keys),
            cache=self.folder / cache,
            kubeconfig=kubeconfig or os.environ["KUBECONFIG"],
            limits=limits or Limits(),
        )
        return PulumiStacks(settings, **more)

    def claim(
        self, name: str, *, size: str = "1Gi", storage_class: str = "sandbox-rwx", **labels: str
    ) -> Manifest:
        """One of ``A``, ``B``, ``SLOW``: the claims that the lab's Roles know."""
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {**object_labels("lab"), **labels},
            },
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": size}},
            },
        }

    def storage(self, *claims: Manifest, uid: str | None = None) -> StackSpec:
        cluster = replace(self.cluster, uid=uid or self.uid)
        return StackSpec(environment="lab", cluster=cluster, stack=STORAGE, manifests=claims)

    def of(self, stack: Stack, *manifests: Manifest) -> StackSpec:
        return StackSpec(environment="lab", cluster=self.cluster, stack=stack, manifests=manifests)

    def registration(self, *entries: Manifest) -> StackSpec:
        settings: Manifest = {"custom_resource": "watsonxaiifm-cr"}
        return replace(self.of(REGISTRATION, *entries), settings=settings)

    def registration_in(self, custom_resource: str) -> StackSpec:
        """Of environment ``elsewhere``, whose login is made here."""
        context = log_in("elsewhere", self.namespace, custom_resource=custom_resource)
        return replace(
            self.registration(entry("m1")),
            environment="elsewhere",
            cluster=replace(self.cluster, context=context),
            settings={"custom_resource": custom_resource},
        )

    def get(self, kind: str, name: str, path: str) -> str:
        return kubectl("get", kind, name, "-n", self.namespace, "-o", f"jsonpath={path}")

    def claims(self) -> set[str]:
        return set(
            kubectl("get", "pvc", "-n", self.namespace, "-o", "jsonpath={.items[*].metadata.name}").split()
        )

    def locks(self) -> list[Path]:
        return [path for path in (self.state / ".pulumi" / "locks").rglob("*.json") if path.is_file()]


def entry(model_id: str, **defaults: int) -> Manifest:
    return {
        "model_id": model_id,
        "location": {"pvc_name": "team-a-models", "sub_path": "summarizer"},
        "tags": ["lab"],
        "parameters": [{"name": name, "default": value} for name, value in defaults.items()],
    }


def command_line(process: Path) -> str:
    """Of a ``/proc/PID`` folder; empty where it has ended."""
    try:
        return process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def processes_below(root: int) -> list[Path]:
    """``/proc`` folders of the descendants of ``root``."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(
                int(stat.parent.name)
            )
        except (OSError, IndexError):
            continue
    found, waiting = [], list(parents.get(root, []))
    while waiting:
        pid = waiting.pop()
        found.append(Path(f"/proc/{pid}"))
        waiting += parents.get(pid, [])
    return found


def scratch_folders(*pids: int) -> list[str]:
    """What runs of these processes have on tmpfs."""
    return [path.name for pid in pids for path in Path("/dev/shm").glob(f"weighbridge-pulumi-{pid}-*")]
