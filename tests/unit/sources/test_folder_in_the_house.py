"""A model from a folder, as the rest of the house sees it: pushed, without secrets, without a fetching Job."""

import json
from typing import Any, cast

import pytest

from support.world import environment as s3_models
from weighbridge.doctor.probe_job import render_probe
from weighbridge.domain.digest import digest
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.environment.secrets import references
from weighbridge.environment.types import Environment, Route
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.mover.order import parse_order
from weighbridge.sources import chosen
from weighbridge.steps.weights.bundle import WeightsBundle, render_weights
from weighbridge.steps.weights.needs import made_secrets, mounted
from weighbridge.steps.weights.publication import completed, same_work
from weighbridge.steps.weights.push.sender import PushOrder

LISTING = SourceListing(
    tuple(
        SourceFile(path, size, f"file:{number:064x}", sha256=f"{number:064x}")
        for number, (path, size) in enumerate(
            {"config.json": 10, "model.safetensors": 1000, "tokenizer.json": 20}.items()
        )
    )
)


@pytest.fixture
def environment() -> Environment:
    document = s3_models("one").model_dump(mode="json", exclude_none=True)
    document["models"][0]["source"] = {"folder": {"path": "weights/one"}}
    del document["models"][0]["routes"]
    return Environment.model_validate_json(json.dumps(document))


@pytest.fixture
def bundle(environment: Environment) -> WeightsBundle:
    return render_weights(environment, environment.models[0], LISTING, Surroundings(mover=b"mover"))


def order(bundle: WeightsBundle, file: str) -> dict[str, Any]:
    config_map = cast("dict[str, Any]", bundle.files[file][0])
    return cast("dict[str, Any]", json.loads(config_map["data"]["order.json"]))


def test_without_routes_it_comes_by_push(environment: Environment) -> None:
    assert environment.models[0].routes == (Route.PUSH,)


def test_it_needs_no_secret_and_no_pod_of_it_mounts_the_sources_keys(environment: Environment) -> None:
    assert [reference.model_dump() for reference in references(environment)] == [{"env": "PASS"}]
    assert made_secrets(environment) == ()
    assert all(name.endswith("-rsync") for name in mounted(environment).secrets)
    config, job = render_probe(environment, environment.models[0], Surroundings(mover=b"mover"), volume=False)
    assert '"source":null' in json.dumps(config).replace("\\", "")
    assert "-credentials" not in json.dumps(job)


def test_nothing_is_rendered_that_would_fetch(bundle: WeightsBundle) -> None:
    assert set(bundle.files) == {"publish.yaml", "push.yaml", "verify.yaml", "receipts.yaml"}
    assert bundle.variables["weights_credentials_secret"] is None
    assert "fetch" in cast("dict[str, Any]", bundle.variables["weights_jobs"]), "to be found and removed"


def test_the_variables_open_the_same_source(environment: Environment, bundle: WeightsBundle) -> None:
    variables = cast("dict[str, Any]", bundle.variables)
    assert variables["weights_source"] == {"kind": "folder", "path": "weights/one"}
    assert chosen(variables["weights_source"]) == environment.models[0].source.chosen


def test_the_mover_understands_its_orders(bundle: WeightsBundle) -> None:
    for name in ("publish.yaml", "verify.yaml"):
        parsed = parse_order(order(bundle, name))
        assert parsed.source is None
        assert parsed.fingerprint == LISTING.fingerprint


def test_a_publication_is_known_again_although_the_source_attests_digests(bundle: WeightsBundle) -> None:
    """What is published is what was sent; the digests of the plan are no part of that order."""
    rendered = order(bundle, "publish.yaml")
    assert all("sha256" not in file for file in rendered["files"])
    assert PushOrder.from_mapping(rendered).files == tuple(
        SourceFile(file.path, file.size, file.etag) for file in LISTING.files
    )
    sent = {file.path: str(file.sha256) for file in LISTING.files}
    config_map, job = completed(bundle.files["publish.yaml"], "sha256:" + "0" * 64, sent)
    told = cast("dict[str, Any]", config_map)["data"]["order.json"]
    annotation = next(iter(cast("dict[str, Any]", job)["metadata"]["annotations"].values()))
    jobs = cast("dict[str, Any]", bundle.variables["weights_jobs"])
    assert jobs["publish"]["order"] == digest(rendered)
    assert same_work(told, annotation, jobs["publish"]["order"])


def test_the_fingerprint_is_of_paths_sizes_and_identities_alone() -> None:
    bare = SourceListing(tuple(SourceFile(file.path, file.size, file.etag) for file in LISTING.files))
    assert bare.fingerprint == LISTING.fingerprint
