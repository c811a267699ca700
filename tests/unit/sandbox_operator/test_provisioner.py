import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from lightkube.models.core_v1 import (
    PersistentVolumeClaimSpec,
    PersistentVolumeStatus,
    TypedLocalObjectReference,
    VolumeResourceRequirements,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import PersistentVolume, PersistentVolumeClaim
from lightkube.resources.storage_v1 import StorageClass

from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.provisioner import claims
from weighbridge_sandbox.provisioner.loopfiles import DiskFullError, LoopFiles, Record
from weighbridge_sandbox.provisioner.reconciler import Provisioner

NODE = "localhost"
MIB = 1 << 20


def claim(  # noqa: PLR0913 - what the tests vary
    storage: str | None = "64Mi",
    *,
    selected: str | None = NODE,
    name: str = "weights",
    uid: str = "u1",
    mode: str | None = None,
    source: bool = False,
    provisioner: str = claims.PROVISIONER,
) -> PersistentVolumeClaim:
    annotations = {claims.STORAGE_PROVISIONER: provisioner}
    if selected:
        annotations[claims.SELECTED_NODE] = selected
    return PersistentVolumeClaim(
        metadata=ObjectMeta(
            name=name, namespace="cpd", uid=uid, resourceVersion="7", annotations=annotations
        ),
        spec=PersistentVolumeClaimSpec(
            accessModes=["ReadWriteMany"],
            storageClassName="sandbox-rwx",
            volumeMode=mode,
            dataSource=TypedLocalObjectReference(kind="PersistentVolumeClaim", name="x") if source else None,
            resources=VolumeResourceRequirements(requests={"storage": storage} if storage else None),
        ),
    )


def storage_class(binding: str = "WaitForFirstConsumer", **parameters: str) -> StorageClass:
    return StorageClass(
        provisioner=claims.PROVISIONER,
        volumeBindingMode=binding,
        reclaimPolicy="Delete",
        parameters=parameters,
    )


@pytest.mark.parametrize(
    ("asked", "size"),
    [("64Mi", 64 * MIB), ("1.5Gi", 1536 * MIB), ("1000M", 10**9), ("1500", 1500), ("0.1Ki", 103)],
)
def test_a_volume_has_exactly_the_size_that_was_asked_for(asked: str, size: int) -> None:
    decision = claims.decide(claim(asked), storage_class(), NODE)
    assert isinstance(decision, claims.Provision)
    assert decision.size == size


def test_claims_wait_for_their_turn() -> None:
    assert claims.decide(claim(selected=None), storage_class(), NODE) == claims.Wait()
    assert isinstance(claims.decide(claim(selected=None), storage_class("Immediate"), NODE), claims.Provision)
    assert claims.decide(claim(provisioner="somebody.else/x"), storage_class(), NODE) == claims.Wait()
    assert claims.decide(claim(), None, NODE) == claims.Wait()
    bound = claim()
    assert bound.spec is not None
    bound.spec.volumeName = "pvc-u1"
    assert claims.decide(bound, storage_class(), NODE) == claims.Wait()


def test_what_is_not_served_is_refused_in_words() -> None:
    for asked, of, word in [
        (claim(mode="Block"), storage_class(), "Block"),
        (claim(source=True), storage_class(), "dataSource"),
        (claim(None), storage_class(), "no storage"),
        (claim("0"), storage_class(), "no storage"),
        (claim(), storage_class(kind="nfs"), "'nfs'"),
    ]:
        decision = claims.decide(asked, of, NODE)
        assert isinstance(decision, claims.Refuse)
        assert word in decision.message
    elsewhere = claims.decide(claim(selected="kwok-1"), storage_class(), NODE)
    assert isinstance(elsewhere, claims.Refuse)
    assert elsewhere.reschedule


@pytest.mark.parametrize("kind", ["local", "hostPath"])
def test_the_volume_is_for_its_claim_alone(kind: str) -> None:
    asked = claim()
    decision = claims.decide(asked, storage_class(kind=kind), NODE)
    assert isinstance(decision, claims.Provision)
    volume = claims.volume_for(asked, decision, "/v/fs/data", NODE)
    spec = volume.spec
    assert spec is not None
    assert spec.claimRef is not None
    assert (spec.claimRef.namespace, spec.claimRef.name, spec.claimRef.uid) == ("cpd", "weights", "u1")
    assert (spec.local is None, spec.hostPath is None) == (
        (True, False) if kind == "hostPath" else (False, True)
    )
    assert spec.capacity == {"storage": "64Mi"}
    assert claims.is_ours(volume)
    assert not claims.is_reclaimable(volume)
    volume.status = PersistentVolumeStatus(phase="Released")
    assert claims.is_reclaimable(volume)
    spec.persistentVolumeReclaimPolicy = "Retain"
    assert not claims.is_reclaimable(volume)


class Tools:
    """mkfs, mount and umount of a machine where nothing can be mounted: remembers, and fails on demand."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails: set[str] = set()

    def __call__(self, argv: Sequence[str | Path]) -> None:
        words = [str(word) for word in argv]
        self.calls.append(words)
        if words[0] in self.fails:
            raise CommandError(f"{words[0]} failed")

    @property
    def programs(self) -> list[str]:
        return [words[0] for words in self.calls]


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
def files(tmp_path: Path, tools: Tools) -> LoopFiles:
    return LoopFiles(tmp_path / "volumes", tools)


RECORD = Record(claim_uid="u1", reclaim="Delete")


def test_an_image_is_sparse_exact_and_made_once(files: LoopFiles, tools: Tools) -> None:
    path = files.ensure("pvc-u1", 64 * MIB, RECORD)
    image = (files.root / "pvc-u1" / "volume.img").stat()
    assert image.st_size == 64 * MIB
    assert image.st_blocks * 512 < MIB
    assert path.is_dir()
    assert tools.programs == ["mkfs.ext4", "mount"]
    assert "-m" in tools.calls[0]
    files.ensure("pvc-u1", 64 * MIB, RECORD)
    assert tools.programs.count("mkfs.ext4") == 1, "never format what may hold data"
    assert files.record("pvc-u1") == RECORD


def test_a_failed_mkfs_leaves_nothing_and_an_interrupted_one_is_begun_anew(
    files: LoopFiles, tools: Tools
) -> None:
    tools.fails = {"mkfs.ext4"}
    with pytest.raises(CommandError):
        files.ensure("pvc-u1", 64 * MIB, RECORD)
    assert files.names() == []
    tools.fails = set()
    unfinished = files.root / "pvc-u1"
    unfinished.mkdir()
    (unfinished / "volume.img.new").write_bytes(b"half")
    files.ensure("pvc-u1", 64 * MIB, RECORD)
    assert (unfinished / "volume.img").stat().st_size == 64 * MIB


def test_promised_space_is_not_promised_twice(files: LoopFiles) -> None:
    before = files.free()
    files.ensure("pvc-u1", 512 * MIB, RECORD)
    assert before - files.free() >= 500 * MIB
    with pytest.raises(DiskFullError, match="neither used nor promised"):
        files.ensure("pvc-u2", files.free() + MIB, RECORD)
    assert files.names() == ["pvc-u1"]


def test_removal_may_be_repeated(files: LoopFiles) -> None:
    files.ensure("pvc-u1", 64 * MIB, RECORD)
    files.remove("pvc-u1")
    files.remove("pvc-u1")
    assert files.names() == []


class Cluster:
    """An API server that remembers claims, classes and volumes."""

    def __init__(self, *asked: PersistentVolumeClaim) -> None:
        self.asked = {one.metadata.name: one for one in asked if one.metadata}
        self.volumes: dict[str, PersistentVolume] = {}
        self.told: list[tuple[str, str]] = []
        self.rescheduled: list[str] = []

    def claim(self, namespace: str, name: str) -> PersistentVolumeClaim | None:  # noqa: ARG002
        return self.asked.get(name)

    def storage_class(self, name: str) -> StorageClass | None:  # noqa: ARG002
        return storage_class()

    def volume(self, name: str) -> PersistentVolume | None:
        return self.volumes.get(name)

    def create_volume(self, volume: PersistentVolume) -> None:
        assert volume.metadata is not None
        assert volume.metadata.name is not None
        self.volumes[volume.metadata.name] = volume

    def delete_volume(self, name: str) -> None:
        self.volumes.pop(name, None)

    def claim_uids(self) -> set[str]:
        return {one.metadata.uid for one in self.asked.values() if one.metadata and one.metadata.uid}

    def volume_names(self) -> set[str]:
        return set(self.volumes)

    def reschedule(self, claim: PersistentVolumeClaim) -> None:
        assert claim.metadata is not None
        self.rescheduled.append(str(claim.metadata.name))

    def tell(self, claim: PersistentVolumeClaim, kind: str, reason: str, message: str) -> None:  # noqa: ARG002
        self.told.append((reason, message))


def test_a_claim_is_answered_and_its_volume_goes_with_it(files: LoopFiles) -> None:
    cluster = Cluster(claim())
    provisioner = Provisioner(cluster, files, NODE)
    assert provisioner.claim("cpd", "weights") is None
    assert set(cluster.volumes) == {"pvc-u1"} == set(files.names())
    assert provisioner.volume("pvc-u1") is None
    assert set(cluster.volumes) == {"pvc-u1"}, "a bound volume stays"
    cluster.volumes["pvc-u1"].status = PersistentVolumeStatus(phase="Released")
    provisioner.volume("pvc-u1")
    assert cluster.volumes == {}
    assert files.names() == []


def test_no_room_is_told_on_the_claim_and_tried_again(files: LoopFiles) -> None:
    cluster = Cluster(claim("999Ti"))
    again = Provisioner(cluster, files, NODE).claim("cpd", "weights")
    assert again is not None
    assert again > 0
    assert cluster.volumes == {}
    [(reason, message)] = cluster.told
    assert reason == "ProvisioningFailed"
    assert str(999 << 40) in message


def test_a_pod_on_another_node_is_placed_anew(files: LoopFiles) -> None:
    cluster = Cluster(claim(selected="kwok-1"))
    Provisioner(cluster, files, NODE).claim("cpd", "weights")
    assert cluster.rescheduled == ["weights"]


def test_a_sweep_removes_orphans_and_nothing_else(files: LoopFiles) -> None:
    cluster = Cluster(claim(uid="u1"), claim(name="other", uid="u2"))
    provisioner = Provisioner(cluster, files, NODE)
    provisioner.claim("cpd", "weights")
    files.ensure(
        "pvc-u2", 64 * MIB, Record("u2", "Delete")
    )  # killed before it was announced; its claim still waits
    files.ensure("pvc-u3", 64 * MIB, Record("u3", "Delete"))  # claim gone meanwhile
    files.ensure("pvc-u4", 64 * MIB, Record("u4", "Retain"))
    (files.root / "pvc-u5").mkdir()  # killed at its very beginning
    provisioner.sweep()
    assert files.names() == ["pvc-u1", "pvc-u2", "pvc-u4"]


def test_a_deleted_volume_object_takes_its_file_along_unless_retained(files: LoopFiles) -> None:
    cluster = Cluster(claim(uid="u1"), claim(name="other", uid="u2"))
    provisioner = Provisioner(cluster, files, NODE)
    for name in ("weights", "other"):
        provisioner.claim("cpd", name)
    kept, doomed = cluster.volumes["pvc-u1"], cluster.volumes["pvc-u2"]
    assert kept.spec is not None
    kept.spec.persistentVolumeReclaimPolicy = "Retain"
    cluster.asked.clear()
    cluster.volumes.clear()
    provisioner.deleted(kept)
    provisioner.deleted(doomed)
    assert files.names() == ["pvc-u1"]
    provisioner.sweep()
    assert files.names() == ["pvc-u1"], "also after a restart"


def test_recovery_mounts_every_image_and_survives_a_broken_one(files: LoopFiles, tools: Tools) -> None:
    files.ensure("pvc-u1", 64 * MIB, RECORD)
    files.ensure("pvc-u2", 64 * MIB, RECORD)
    tools.calls.clear()
    tools.fails = {"mount"}
    files.recover()
    assert tools.programs == ["mount", "mount"]
    assert os.path.exists(files.root / "pvc-u2" / "volume.img")  # noqa: PTH110 - either will do
