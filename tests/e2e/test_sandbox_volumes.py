"""The sandbox's volumes as pods and claims meet them: a real size, real permissions, and nothing left behind."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import cast

import psutil
import pytest
from lightkube import Client
from lightkube.models.core_v1 import PersistentVolumeClaimSpec, VolumeResourceRequirements
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Event, PersistentVolume, PersistentVolumeClaim, Pod

from weighbridge_sandbox.commands import run
from weighbridge_sandbox.kube import connect
from weighbridge_sandbox.layout import MOVER_IMAGE, Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands

pytestmark = pytest.mark.sandbox

MIB = 1 << 20


@pytest.fixture(scope="module")
def client(sandbox: Layout) -> Iterator[Client]:
    with connect(sandbox.home, field_manager="tests") as client:
        yield client


@pytest.fixture(scope="module")
def namespace(client: Client) -> Iterator[str]:  # noqa: ARG001 - the sandbox is up once there is a client
    name = f"volumes-{uuid.uuid4().hex[:8]}"
    create_operands(name, cr=False)
    yield name
    delete_operands(name)


def until(what: str, check: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


class Cluster:
    """Claims and pods of one namespace."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.namespace = client, namespace

    def claim(self, name: str, size: str = "64Mi", of: str = "sandbox-rwx") -> None:
        self.client.create(
            PersistentVolumeClaim(
                metadata=ObjectMeta(name=name, namespace=self.namespace),
                spec=PersistentVolumeClaimSpec(
                    accessModes=["ReadWriteMany"],
                    storageClassName=of,
                    resources=VolumeResourceRequirements(requests={"storage": size}),
                ),
            )
        )

    def phase(self, claim: str) -> str | None:
        found = self.client.get(PersistentVolumeClaim, claim, namespace=self.namespace)
        return found.status.phase if found.status else None

    def volume(self, claim: str) -> PersistentVolume:
        found = self.client.get(PersistentVolumeClaim, claim, namespace=self.namespace)
        assert found.spec is not None
        assert found.spec.volumeName is not None, f"{claim} is not bound"
        return self.client.get(PersistentVolume, found.spec.volumeName)

    def start(self, name: str, claim: str, script: str) -> None:
        """A pod that Pod Security "restricted" lets in, running Python with the claim at /models."""
        self.client.create(
            cast(
                "Pod",
                Pod.from_dict(
                    {
                        "metadata": {"name": name, "namespace": self.namespace},
                        "spec": {
                            "restartPolicy": "Never",
                            "terminationGracePeriodSeconds": 0,
                            "automountServiceAccountToken": False,
                            "securityContext": {
                                "runAsNonRoot": True,
                                "seccompProfile": {"type": "RuntimeDefault"},
                            },
                            "containers": [
                                {
                                    "name": "main",
                                    "image": MOVER_IMAGE,
                                    "imagePullPolicy": "IfNotPresent",
                                    "command": ["python3", "-c", script],
                                    "securityContext": {
                                        "allowPrivilegeEscalation": False,
                                        "capabilities": {"drop": ["ALL"]},
                                    },
                                    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                                }
                            ],
                            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": claim}}],
                        },
                    }
                ),
            )
        )

    def said(self, name: str) -> str:
        """A pod's log once it has ended."""

        def ended() -> bool:
            status = self.client.get(Pod, name, namespace=self.namespace).status
            return status is not None and status.phase in {"Succeeded", "Failed"}

        until(f"the end of pod {name}", ended)
        return "".join(self.client.log(name, namespace=self.namespace)).strip()

    def forget(self, pod: str) -> None:
        self.client.delete(Pod, pod, namespace=self.namespace)


@pytest.fixture
def cluster(client: Client, namespace: str) -> Cluster:
    return Cluster(client, namespace)


def test_a_full_volume_is_really_full(cluster: Cluster) -> None:
    cluster.claim("full")
    assert cluster.phase("full") == "Pending", "it waits for its first consumer"
    cluster.start(
        "filler",
        "full",
        "import os\n"
        "size = 0\n"
        "try:\n"
        "    with open('/models/fill', 'wb', buffering=0) as file:\n"
        "        while True:\n"
        "            size += file.write(b'x' * 65536)\n"
        "except OSError as error:\n"
        "    print(error.errno, size, os.getuid(), os.getgroups())\n",
    )
    errno, size, uid, groups = cluster.said("filler").split(" ", 3)
    assert int(errno) == 28
    assert 55 * MIB < int(size) < 64 * MIB
    assert int(uid) == 1000700000
    assert "1000700000" in groups
    capacity = cluster.volume("full").spec
    assert capacity is not None
    assert capacity.capacity == {"storage": "64Mi"}


def test_two_pods_share_a_volume_at_the_same_time(cluster: Cluster) -> None:
    cluster.claim("shared")
    wait = (
        "import pathlib, sys, time\n"
        "mine, theirs = (pathlib.Path('/models') / name for name in sys.argv[1:] or {names})\n"
        "mine.write_text('from ' + mine.name)\n"
        "for _ in range(400):\n"
        "    if theirs.exists() and theirs.read_text():\n"
        "        print(theirs.read_text()); break\n"
        "    time.sleep(0.1)\n"
    )
    cluster.start("left", "shared", wait.format(names="('left', 'right')"))
    cluster.start("right", "shared", wait.format(names="('right', 'left')"))
    assert (cluster.said("left"), cluster.said("right")) == ("from right", "from left")


def test_without_fsgroup_the_volume_is_roots(cluster: Cluster) -> None:
    cluster.claim("roots", of="sandbox-rwx-nofsgroup")
    cluster.start(
        "stranger",
        "roots",
        "import os\n"
        "try:\n"
        "    open('/models/x', 'w')\n"
        "except OSError as error:\n"
        "    found = os.stat('/models')\n"
        "    print(error.errno, found.st_uid, found.st_gid, oct(found.st_mode & 0o7777))\n",
    )
    assert cluster.said("stranger") == "13 0 0 0o755"


def test_claims_of_one_name_in_two_namespaces_share_nothing(client: Client, cluster: Cluster) -> None:
    other = Cluster(client, f"volumes-{uuid.uuid4().hex[:8]}")
    create_operands(other.namespace, cr=False)
    try:
        for where, text in ((cluster, "mine"), (other, "theirs")):
            where.claim("twin", of="sandbox-rwx-immediate")
            where.start(
                "twin", "twin", f"import os; print(os.listdir('/models')); open('/models/{text}', 'w')"
            )
        assert (cluster.said("twin"), other.said("twin")) == ("[]", "[]")
        volumes = [where.volume("twin").spec for where in (cluster, other)]
        assert all(spec is not None and spec.local is not None for spec in volumes)
        assert len({spec.local.path for spec in volumes if spec and spec.local}) == 2
    finally:
        delete_operands(other.namespace)


def test_a_claim_nobody_serves_stays_pending(cluster: Cluster) -> None:
    cluster.claim("stuck", of="sandbox-pending")
    time.sleep(3)
    assert cluster.phase("stuck") == "Pending"


def test_a_volume_larger_than_the_disk_is_refused_with_an_event(cluster: Cluster) -> None:
    cluster.claim("huge", "900Ti", of="sandbox-rwx-immediate")

    def messages() -> list[str]:
        return [
            event.message or ""
            for event in cluster.client.list(Event, namespace=cluster.namespace)
            if event.involvedObject.name == "huge" and event.reason == "ProvisioningFailed"
        ]

    until("the event", lambda: bool(messages()))
    assert str(900 << 40) in messages()[0]
    assert cluster.phase("huge") == "Pending"


def test_a_deleted_claim_leaves_no_volume_no_file_and_no_loop_device(cluster: Cluster) -> None:
    cluster.claim("brief")
    cluster.start("user", "brief", "open('/models/x', 'w').write('x')")
    cluster.said("user")
    volume = cluster.volume("brief")
    assert volume.metadata is not None
    name = str(volume.metadata.name)
    folder = Layout.from_environment().volumes / name
    assert name in run(["losetup", "--list", "--output", "BACK-FILE"]).stdout
    cluster.forget("user")
    cluster.client.delete(PersistentVolumeClaim, "brief", namespace=cluster.namespace)
    until("the end of the files", lambda: not folder.exists())
    until(
        "the end of the object",
        lambda: all(
            one.metadata is None or one.metadata.name != name for one in cluster.client.list(PersistentVolume)
        ),
    )
    until(
        "the end of the loop device",
        lambda: name not in run(["losetup", "--list", "--output", "BACK-FILE"]).stdout,
    )


@pytest.mark.alone
def test_volumes_are_there_again_after_the_provisioner_was_killed_and_their_mounts_lost(
    cluster: Cluster,
) -> None:
    cluster.claim("lasting")
    cluster.start("writer", "lasting", "open('/models/kept', 'w').write('still here')")
    cluster.said("writer")
    cluster.forget("writer")
    volume = cluster.volume("lasting")
    assert volume.metadata is not None
    mount = Layout.from_environment().volumes / str(volume.metadata.name) / "fs"
    [provisioner] = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[-2:] == ["-m", "weighbridge_sandbox.provisioner"]
        and "setpriv" not in (process.info["cmdline"] or [""])[0]
    ]
    run(["umount", "--lazy", mount])
    provisioner.kill()
    cluster.claim("meanwhile")
    cluster.start("reader", "lasting", "print(open('/models/kept').read())")
    cluster.start("newcomer", "meanwhile", "print('new volumes too')")
    assert cluster.said("reader") == "still here"
    assert cluster.said("newcomer") == "new volumes too"
