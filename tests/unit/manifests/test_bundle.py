"""What `weighbridge render` writes: golden files, and what must hold of every pod. Renew the golden files with
WEIGHBRIDGE_RENEW_GOLDEN=1 and read the difference."""

import base64
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from support.world import World
from weighbridge.domain.naming import job_name
from weighbridge.domain.weights import Receipt, SourceFile, SourceListing, sub_path_of
from weighbridge.environment.types import Environment, Route
from weighbridge.errors import InputError
from weighbridge.manifests.mover_archive import mover_archive
from weighbridge.manifests.pods import pod_settings
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.mover.order import Listed, parse_order
from weighbridge.mover.weightset import fingerprint
from weighbridge.steps.weights.bundle import (
    deadline_seconds,
    refused_routes,
    render_verification,
    render_weights,
    require_a_route,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "rendered"


def written(
    out: Path, environment: Environment, listing: SourceListing, around: Surroundings
) -> dict[str, str]:
    world = World(environment, sources={model.id: listing for model in environment.models})
    world.ports["surroundings"] = around
    files = world.session().render(out).files
    for name, text in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    return {name: text.replace(str(out), "/OUT") for name, text in files.items()}


def test_rendered_files_are_the_golden_ones(
    tmp_path: Path, environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    found = written(tmp_path, environment, listing, around)
    if os.environ.get("WEIGHBRIDGE_RENEW_GOLDEN"):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        for name, text in found.items():
            (GOLDEN / name).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / name).write_text(text)
    golden = {str(path.relative_to(GOLDEN)): path.read_text() for path in GOLDEN.rglob("*") if path.is_file()}
    assert found.keys() == golden.keys()
    assert found == golden


def test_rendering_twice_gives_the_same_bytes(
    tmp_path: Path, environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    first = written(tmp_path / "a", environment, listing, around)
    assert written(tmp_path / "b", environment, listing, around) == first


def documents(environment: Environment, listing: SourceListing, around: Surroundings) -> list[dict[str, Any]]:
    bundles = [render_weights(environment, model, listing, around) for model in environment.models]
    return [
        cast("dict[str, Any]", document)
        for bundle in bundles
        for file in bundle.files.values()
        for document in file
    ]


def pods(environment: Environment, listing: SourceListing, around: Surroundings) -> list[dict[str, Any]]:
    found = documents(environment, listing, around)
    return [item["spec"]["template"] for item in found if item["kind"] == "Job"] + [
        item for item in found if item["kind"] == "Pod"
    ]


def test_every_pod_satisfies_pod_security_restricted_without_naming_a_user(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    """Kubernetes, "Pod Security Standards", Restricted; OpenShift, restricted-v2 (fixed users and groups refused)."""
    found = pods(environment, listing, around)
    assert len(found) == 8
    for pod in found:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (
            not {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"} & spec["securityContext"].keys()
        )
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["automountServiceAccountToken"] is False
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected"}
        assert all(volume.keys() & allowed for volume in spec["volumes"])
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in container.get("ports", []))
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}


def test_pods_look_as_the_environment_wants(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    for pod in pods(environment, listing, around):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "mirror"}]
        assert pod["spec"]["serviceAccountName"] == "weighbridge"
        assert pod["spec"]["tolerations"][0]["key"] == "dedicated"
        assert pod["metadata"]["labels"]["cost-centre"] == "ml"
        assert pod["metadata"]["labels"]["weighbridge.dev/environment"] == "stage"


def test_a_limit_below_our_request_lowers_the_request(environment: Environment) -> None:
    tight = environment.pods.model_copy(
        update={"resources": environment.pods.resources.model_copy(update={"cpu": "100m", "memory": "128Mi"})}
    )
    settings = pod_settings(environment.model_copy(update={"pods": tight}))
    assert settings.limits == {"cpu": "100m", "memory": "128Mi"}
    assert settings.requests == {"cpu": "100m", "memory": "128Mi"}
    assert pod_settings(environment).requests == {"cpu": "250m", "memory": "256Mi"}


def test_only_the_fetching_pod_sees_the_keys_and_never_in_its_environment(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    mounted = {
        item["metadata"]["name"]: [
            volume["secret"]["secretName"]
            for volume in item["spec"]["template"]["spec"]["volumes"]
            if "secret" in volume
        ]
        for item in documents(environment, listing, around)
        if item["kind"] == "Job"
    }
    assert mounted == {
        job_name("stage", "Example/Model_13b", "fetch"): [
            job_name("stage", "Example/Model_13b", "credentials")
        ],
        job_name("stage", "Example/Model_13b", "publish"): [],
        job_name("stage", "Example/Model_13b", "verify"): [],
        job_name("stage", "plain", "fetch"): ["s3-keys"],
        job_name("stage", "plain", "publish"): [],
        job_name("stage", "plain", "verify"): [],
    }
    for pod in pods(environment, listing, around):
        names = {item["name"] for container in pod["spec"]["containers"] for item in container.get("env", [])}
        assert names <= {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


def test_the_mover_understands_every_order(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    maps = [item for item in documents(environment, listing, around) if "order.json" in item.get("data", {})]
    assert len(maps) == 8
    for item in maps:
        order = parse_order(json.loads(item["data"]["order.json"]))
        assert order.fingerprint == listing.fingerprint
        assert order.total_bytes == listing.total_bytes
        assert base64.b64decode(item["binaryData"]["mover.pyz"]) == b"the mover"


def test_a_job_is_named_by_what_it_has_to_do(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    other = SourceListing((*listing.files, SourceFile("extra.json", 1, "e")))
    model = environment.models[0]

    def told(which: SourceListing) -> tuple[Any, Any]:
        bundle = render_weights(environment, model, which, around)
        job = cast("dict[str, Any]", bundle.files["fetch.yaml"][1])
        variables = cast("dict[str, Any]", bundle.variables)
        return job["metadata"]["annotations"]["weighbridge.dev/order"], variables["weights_jobs"]["fetch"][
            "order"
        ]

    assert told(listing)[0] == told(listing)[1]
    assert told(listing) != told(other)


def test_variables_hold_references_and_no_values(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    variables = render_weights(environment, environment.models[0], listing, around).variables
    assert variables["weights_source"] == {
        "kind": "s3",
        "bucket": "models",
        "prefix": "example-13b/",
        "endpoint": "https://s3.example.com",
        "region": "us-east-1",
        "credentials": {"access_key": {"env": "S3_KEY"}, "secret_key": {"file": "keys/secret"}},
    }
    assert variables["weights_source_folder"] == "/home/user/environments"
    assert variables["weights_ca_bundle"] == "/home/user/environments/ca.pem"


def test_verifying_needs_nothing_but_the_receipt(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    receipt = Receipt(
        model_id="plain",
        fingerprint=listing.fingerprint,
        set_digest="sha256:" + "ab" * 32,
        claim="their-claim",
        claim_uid="u",
        sub_path=sub_path_of("plain", listing.fingerprint),
        files=3,
        total_bytes=listing.total_bytes,
        route="fetch",
        published_at="",
        verified_at="",
        verdict="verified",
    )
    bundle = render_verification(environment, environment.models[1], receipt, around)
    assert bundle.files.keys() == {"verify.yaml", "receipts.yaml"}
    order = json.loads(cast("dict[str, Any]", bundle.files["verify.yaml"][0])["data"]["order.json"])
    assert order["expect_set_digest"] == receipt.set_digest


def many_files(count: int) -> SourceListing:
    required = ("config.json", "model.safetensors", "tokenizer.json")
    names = [*required, *(f"shard-{number:06}.json" for number in range(count - 3))]
    return SourceListing(tuple(SourceFile(name, 1, "e" * 32) for name in names))


def test_a_list_of_files_that_no_configmap_holds_is_refused(
    environment: Environment, around: Surroundings
) -> None:
    """Before anything is made, and only where no route is left that can do without."""
    many, model = many_files(15_000), environment.models[0]
    require_a_route(environment, model, many, around)
    pushed = model.model_copy(update={"routes": (Route.PUSH,)})
    with pytest.raises(InputError) as refused:
        require_a_route(environment, pushed, many, around)
    assert refused.value.code == "too-many-files"
    assert "15000 files" in refused.value.what


def test_a_plan_says_that_no_route_can_carry_a_set(environment: Environment, around: Surroundings) -> None:
    model = environment.models[0].model_copy(update={"routes": (Route.PUSH,)})
    alone = environment.model_copy(update={"models": (model,)})
    world = World(alone, sources={model.id: many_files(15_000)})
    world.ports["surroundings"] = around
    with pytest.raises(InputError, match="15000 files"):
        world.session().plan()
    assert world.calls == []


def test_a_fetch_of_100_000_files_is_ordered_by_filter_count_and_fingerprint(
    environment: Environment, around: Surroundings
) -> None:
    many = many_files(100_000)
    model = environment.models[0].model_copy(update={"exclude": ("*.md",)})
    bundle = render_weights(environment, model, many, around)
    assert bundle.files.keys() == {"fetch.yaml", "verify.yaml", "receipts.yaml"}
    text = cast("dict[str, Any]", bundle.files["fetch.yaml"][0])["data"]["order.json"]
    order = parse_order(json.loads(text))
    assert (order.files, order.listed) == ((), Listed(100_000, ("*.md",)))
    assert order.fingerprint == many.fingerprint
    assert len(text) < 2000
    assert refused_routes(environment, model, many, around).keys() == {Route.PUSH}


def test_the_mover_computes_the_fingerprint_that_the_plan_computed(listing: SourceListing) -> None:
    rows = [(file.path, file.size, file.etag) for file in reversed(listing.files)]
    assert fingerprint(rows) == listing.fingerprint


def test_an_order_holds_as_many_files_as_a_configmap_does(
    environment: Environment, around: Surroundings
) -> None:
    """As it is, not as base64, and without what another route's order needs."""
    real = replace(around, mover=mover_archive())
    bundle = render_weights(environment, environment.models[0], many_files(7_000), real)
    order_map = cast("dict[str, Any]", bundle.files["fetch.yaml"][0])
    assert len(parse_order(json.loads(order_map["data"]["order.json"])).files) == 7_000
    size = sum(len(text.encode()) for text in order_map["data"].values())
    size += sum(len(base64.b64decode(text)) for text in order_map["binaryData"].values())
    assert size < 1 << 20


def test_the_packaged_mover_leaves_room_for_thousands_of_files() -> None:
    assert len(base64.b64encode(mover_archive())) < 400_000


def test_deadlines_grow_with_the_bytes() -> None:
    assert deadline_seconds(0) == 1800
    assert deadline_seconds(140 * 1024**3) == 1800 + 35_840


def test_vars_are_yaml_that_ansible_reads(
    tmp_path: Path, environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    written(tmp_path, environment, listing, around)
    folder = tmp_path / "weights" / "plain"
    variables = yaml.safe_load((folder / "vars.yml").read_text())
    assert variables["weights_dir"] == str(folder)
    assert all((folder / name).is_file() for name in variables["weights_manifests"].values())
