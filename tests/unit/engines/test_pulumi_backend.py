import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from weighbridge.domain.stacks import ClusterIdentity
from weighbridge.engines.pulumi.backend import Bucket, Folder, parse_backend, read_stack, recorded_stack
from weighbridge.errors import InputError, PreconditionError

BASE = Path("/srv/environments")
HERE = ClusterIdentity(uid="uid-here", namespace="cpd-instance", context="stage-admin")


def checkpoint(*resources: dict[str, Any]) -> dict[str, Any]:
    latest = {
        "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:s"}},
        "resources": list(resources),
    }
    return {"version": 3, "checkpoint": {"stack": "organization/p/stage", "latest": latest}}


def resource(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:stage::p::{kind}::{name}", "type": kind, **more}


SIGNED = [
    resource("pulumi:pulumi:Stack", "p-stage", outputs={"clusterUid": "uid-here"}),
    resource("pulumi:providers:kubernetes", "cluster", inputs={"clusterIdentifier": "uid-here"}),
    resource("weighbridge:index:Registrations", "cr", inputs={"clusterUid": "uid-here"}),
]


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file://state", "/srv/environments/state"),
        ("file://./state/stage", "/srv/environments/state/stage"),
        ("file://../state", "/srv/state"),
        ("file:///var/lib/weighbridge", "/var/lib/weighbridge"),
        ("file://with%20space", "/srv/environments/with space"),
    ],
)
def test_a_file_backend_starts_at_the_environment_files_folder(url: str, folder: str) -> None:
    assert parse_backend(url, BASE) == Folder(Path(folder))


def test_a_folder_with_a_space_becomes_a_url_that_pulumi_takes() -> None:
    assert Folder(Path("/srv/with space")).url == "file:///srv/with%20space"


def test_an_s3_backend_keeps_its_url_and_shows_its_parts() -> None:
    url = "s3://state/team/a/?endpoint=http://10.0.0.1:9000&region=eu-central-1&s3ForcePathStyle=true"
    assert parse_backend(url, BASE) == Bucket(
        url=url,
        name="state",
        prefix="team/a/",
        endpoint="http://10.0.0.1:9000",
        region="eu-central-1",
        path_style=True,
    )


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ("endpoint=minio:9000", "https://minio:9000"),
        ("endpoint=minio:9000&disableSSL=true", "http://minio:9000"),
        ("", None),
    ],
)
def test_an_endpoint_without_a_scheme_is_read_as_pulumi_reads_it(options: str, endpoint: str | None) -> None:
    found = parse_backend(f"s3://state?{options}", BASE)
    assert isinstance(found, Bucket)
    assert found.endpoint == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "file://",
        "s3://",
        "https://app.pulumi.com",
        "state",
        "gs://bucket",
        "file://~",
        "file://~nobody-here/state",
    ],
)
def test_other_backends_are_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_backend(url, BASE)
    assert "file://FOLDER" in str(refused.value)
    assert "state.backend" in str(refused.value)


@pytest.mark.parametrize("row", SIGNED, ids=["stack", "provider", "registrations"])
def test_any_signed_resource_tells_whose_cluster_a_state_is_of(row: dict[str, Any]) -> None:
    other = resource("kubernetes:core/v1:PersistentVolumeClaim", "a", inputs={"clusterUid": "not this one"})
    assert recorded_stack(checkpoint(other, row)).cluster_uid == "uid-here"


def test_a_state_of_another_cluster_is_refused_and_both_uids_are_named() -> None:
    recorded = recorded_stack(
        checkpoint(resource("pulumi:pulumi:Stack", "p", outputs={"clusterUid": "uid-there"}))
    )
    with pytest.raises(PreconditionError) as refused:
        recorded.require(HERE, "storage", "stage")
    assert refused.value.code == "state-of-another-cluster"
    for part in ("uid-there", "uid-here", "stage-admin", "storage"):
        assert part in str(refused.value)


def test_a_state_of_this_cluster_and_one_that_never_held_anything_are_taken() -> None:
    recorded_stack(checkpoint(*SIGNED)).require(HERE, "storage", "stage")
    recorded_stack({"version": 3, "checkpoint": {}}).require(HERE, "storage", "stage")


def test_what_pulumi_exports_is_understood_like_the_file_itself() -> None:
    exported = {"version": 3, "deployment": checkpoint(*SIGNED)["checkpoint"]["latest"]}
    assert recorded_stack(exported) == recorded_stack(checkpoint(*SIGNED))


def test_protection_and_names_are_read() -> None:
    found = recorded_stack(
        checkpoint(
            resource("kubernetes:core/v1:PersistentVolumeClaim", "kept", protect=True),
            resource("weighbridge:index:Registrations", "cr"),
        )
    )
    assert [(row.name, row.protected) for row in found.resources] == [("kept", True), ("cr", False)]
    assert found.salt == "v1:s"


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_a_stack_is_read_from_a_folder(tmp_path: Path, *, compressed: bool) -> None:
    folder = tmp_path / ".pulumi" / "stacks" / "weighbridge-storage"
    folder.mkdir(parents=True)
    content = json.dumps(checkpoint(*SIGNED)).encode()
    if compressed:
        (folder / "stage.json.gz").write_bytes(gzip.compress(content))
    else:
        (folder / "stage.json").write_bytes(content)
    found = read_stack(Folder(tmp_path), "weighbridge-storage", "stage", None)
    assert found is not None
    assert found.cluster_uid == "uid-here"
    assert read_stack(Folder(tmp_path), "weighbridge-storage", "prod", None) is None


def test_an_absent_folder_holds_no_stack_and_is_not_made(tmp_path: Path) -> None:
    assert read_stack(Folder(tmp_path / "state"), "weighbridge-storage", "stage", None) is None
    assert not (tmp_path / "state").exists()


def test_a_stack_is_read_from_a_bucket_below_its_prefix() -> None:
    bucket = Bucket(url="s3://state/team", name="state", prefix="team/", endpoint=None, region=None)
    content = {"team/.pulumi/stacks/weighbridge-storage/stage.json": json.dumps(checkpoint(*SIGNED)).encode()}

    def read(asked: Bucket, key: str) -> bytes | None:
        assert asked is bucket
        return content.get(key)

    found = read_stack(bucket, "weighbridge-storage", "stage", read)
    assert found is not None
    assert found.cluster_uid == "uid-here"
    assert read_stack(bucket, "weighbridge-registration", "stage", read) is None


def test_a_bucket_without_credentials_is_refused() -> None:
    bucket = Bucket(url="s3://state", name="state", prefix="", endpoint=None, region=None)
    with pytest.raises(PreconditionError, match="credentials"):
        read_stack(bucket, "weighbridge-storage", "stage", None)


def test_a_damaged_state_is_named_with_its_backup(tmp_path: Path) -> None:
    file = tmp_path / ".pulumi" / "stacks" / "weighbridge-storage" / "stage.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"version": 3, "check')
    with pytest.raises(PreconditionError) as refused:
        read_stack(Folder(tmp_path), "weighbridge-storage", "stage", None)
    assert "stage.json.bak" in str(refused.value)


def test_what_a_killed_pulumi_was_creating_is_known_and_nothing_else() -> None:
    content = checkpoint()
    content["checkpoint"]["latest"]["pending_operations"] = [
        {"resource": resource("a:b:C", "one"), "type": "creating"},
        {"resource": resource("a:b:C", "two"), "type": "updating"},
    ]
    assert [urn.rpartition("::")[2] for urn in recorded_stack(content).unfinished] == ["one"]
    assert recorded_stack(checkpoint()).unfinished == ()
