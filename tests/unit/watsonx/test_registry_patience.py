"""The wait for the operator begins also while the API server is away for a moment."""

import pytest

from support.api_server import FakeApiServer
from support.registry_places import SPEC, THEIRS, InMemory, Meddled, entry, operator_answers, registry
from weighbridge.errors import PreconditionError

AWAY = PreconditionError("no answer", code="cluster-unreachable")


def _written() -> InMemory:
    server = FakeApiServer()
    server.put_cr({**SPEC, "custom_foundation_models": THEIRS})
    server.put_status("Completed", completion="t0", versions={"reconciled": "11.0.0"})
    server.tick(10)
    place = InMemory(server)
    registry(place).write((), [entry("one")])
    operator_answers(place)
    return place


def test_an_api_server_that_is_restarting_is_waited_for() -> None:
    place = _written()
    ours = registry(place, Meddled(place.api, instead={"get": [AWAY] * 4}))
    assert "Completed" in ours.await_reconciled(lambda _: None)
    assert not ours.unconfirmed()


def test_one_that_stays_away_is_an_error_in_the_end() -> None:
    place = _written()
    with pytest.raises(PreconditionError, match="no answer"):
        registry(place, Meddled(place.api, instead={"get": [AWAY] * 100_000})).await_reconciled(
            lambda _: None
        )


def test_a_missing_permission_is_told_at_once() -> None:
    place = _written()
    refused: list[Exception | None] = [PreconditionError("forbidden", code="cluster-forbidden"), None]
    api = Meddled(place.api, instead={"get": refused})
    with pytest.raises(PreconditionError, match="forbidden"):
        registry(place, api).await_reconciled(lambda _: None)
    assert refused == [None], "it was asked once"
