"""What a plan costs the source where nothing has changed: one listing a model, over a few connections."""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from support.odd_s3 import BUCKET, OddS3, odd_s3
from support.weights import MODEL
from support.world import World
from weighbridge.environment.secrets import Secrets
from weighbridge.environment.types import Environment
from weighbridge.errors import PreconditionError
from weighbridge.processes.at_once import AT_ONCE
from weighbridge.steps.weights.made import made_weights

COUNT = 100
IDS = tuple(f"m{number:03d}" for number in range(COUNT))
FILES = {
    **MODEL,
    "config.json": json.dumps({"model_type": "llama", "max_position_embeddings": 2048}).encode(),
}


@dataclass
class Shop:
    """As much of the workshop as sources are made from."""

    environment: Environment
    folder: Path
    closes: ExitStack = field(default_factory=ExitStack)
    ca_bundle: Path | None = None

    @property
    def var(self) -> Path:
        return self.folder / "var"

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.folder, environ={"KEY": "AKIAPLANTED", "SECRET": "PLANTEDSECRET"})

    def observer(self, event: object) -> None:
        del event


def environment(endpoint: str, parameters: dict[str, Any]) -> Environment:
    keys = {"access_key": {"env": "KEY"}, "secret_key": {"env": "SECRET"}}
    return Environment.model_validate_json(
        json.dumps(
            {
                "name": "test",
                "cluster": {"context": "here", "namespace": "cpd-instance"},
                "platform": {"version": "5.2"},
                "state": {"backend": "file://state", "passphrase": {"env": "PASS"}},
                "pods": {"image": "registry.example.com/python@sha256:" + "0" * 64},
                "models": [
                    {
                        "id": model_id,
                        "source": {
                            "s3": {
                                "bucket": BUCKET,
                                "prefix": f"{model_id}/",
                                "endpoint": endpoint,
                                "credentials": keys,
                            }
                        },
                        "storage": {"storage_class": "fast"},
                        "parameters": parameters,
                    }
                    for model_id in IDS
                ],
            }
        )
    )


@pytest.fixture
def server() -> Iterator[OddS3]:
    with odd_s3({f"{model_id}/{path}": content for model_id in IDS for path, content in FILES.items()}) as it:
        yield it


def applied(server: OddS3, folder: Path, **parameters: Any) -> tuple[World, Shop]:
    """Models in place, and what reads their sources: the product's own adapter."""
    shop = Shop(environment(server.endpoint, parameters), folder)
    weights = made_weights(cast("Any", shop))
    world = World(shop.environment, {model.id: weights.list(model) for model in shop.environment.models})
    assert world.session().apply().exit_code == 0
    world.ports["weights"] = weights
    server.requests.clear()
    server.connections.clear()
    return world, shop


def listings(server: OddS3) -> list[str]:
    """Prefixes that were listed."""
    return sorted(
        query["prefix"][-1]
        for _, path, _ in server.requests
        if "list-type" in (query := parse_qs(urlsplit(path).query))
    )


def test_a_plan_of_unchanged_models_lists_each_once_and_reads_nothing(
    server: OddS3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    world, shop = applied(server, tmp_path)
    with closing(shop.closes):
        plan = world.session().plan()
    assert not any(step.pending for step in plan.steps)
    assert plan.warnings == ()
    assert listings(server) == [f"{model_id}/" for model_id in IDS]
    assert len(server.requests) == COUNT
    assert len(server.connections) <= AT_ONCE, "one client for all of them"
    assert "pool is full" not in caplog.text


def test_how_a_model_in_place_is_registered_is_still_held_against_its_configuration(
    server: OddS3, tmp_path: Path
) -> None:
    world, shop = applied(server, tmp_path, max_sequence_length={"default": 4096, "max": 4096})
    with closing(shop.closes):
        plan = world.session().plan()
    assert any("m007: max_sequence_length" in text and "2048" in text for text in plan.warnings)
    read = {urlsplit(path).path for _, path, _ in server.requests if "list-type" not in path}
    assert read == {f"/{BUCKET}/{model_id}/config.json" for model_id in IDS}
    assert len(server.requests) == 2 * COUNT


def test_of_a_model_in_place_names_are_still_judged(server: OddS3, tmp_path: Path) -> None:
    server.objects = {**server.objects, "m007/notes.xyz": b"hello"}
    world, shop = applied(server, tmp_path)
    with closing(shop.closes):
        [warning] = world.session().plan().warnings
    assert warning.startswith("m007: notes.xyz: no kind of file")
    assert len(server.requests) == COUNT


def test_a_model_that_is_to_come_is_read(server: OddS3, tmp_path: Path) -> None:
    server.objects = {**server.objects, "m042/config.json": b"{"}
    shop = Shop(environment(server.endpoint, {}), tmp_path)
    world = World(shop.environment)
    world.ports["weights"] = made_weights(cast("Any", shop))
    with closing(shop.closes), pytest.raises(PreconditionError, match=r"m042.*config\.json is not JSON"):
        world.session().plan()
    assert world.calls == []
