"""Some trials of the campaign (`make test-faults` runs all of them), and one model of two that fails."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.campaign.catalogue import CATALOGUE
from faults.campaign.draw import Strike, Trial
from faults.campaign.ground import MODEL, Ground, hashes, prepared
from faults.campaign.trial import Conduct, Result
from support.estate import CR
from support.s3_fault_proxy import S3Fault
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.models import TINY, write_small_llama

pytestmark = pytest.mark.sandbox


def _trial(route: str, change: str, fault: str, phase: str, at: float) -> Trial:
    strike = Strike(fault, phase, at)
    return Trial(0, route, change, (strike,), shared=False, plans_after=fault == "kill-everything")


TRIALS = (
    _trial("fetch", "version", "kill-everything", "weights", 0.5),
    _trial("push", "version", "kill-port-forward", "weights", 0.3),
)
BY_NIGHT = (
    _trial("push", "version", "kill-rsync", "weights", 0.1),
    _trial("fetch", "version", "kill-after-receipt", "weights", 0.0),
    _trial("push", "version", "kill-after-receipt", "weights", 0.0),
    _trial("fetch", "parameter", "kill-pulumi", "registration", 0.5),
    _trial("fetch", "version", "s3-flips-a-bit", "weights", 0.3),
    _trial("push", "version", "ctrl-c", "weights", 0.6),
    _trial("push", "version", "pod-deleted", "weights", 0.3),
)


@pytest.fixture(scope="module")
def fetching(sandbox: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    name = f"e2e-faults-fetch-{os.getpid() % 10000}"
    with prepared(name, "fetch", tmp_path_factory.mktemp("faults") / "fetch", sandbox) as ground:
        yield ground


@pytest.fixture(scope="module")
def pushing(sandbox: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    name = f"e2e-faults-push-{os.getpid() % 10000}"
    with prepared(name, "push", tmp_path_factory.mktemp("faults") / "push", sandbox) as ground:
        yield ground


@pytest.mark.parametrize(
    "trial",
    [*TRIALS, *(pytest.param(trial, marks=pytest.mark.nightly) for trial in BY_NIGHT)],
    ids=lambda trial: f"{trial.strikes[0].fault}-{trial.route}",
)
def test_nothing_is_lost_and_the_same_command_finishes(request: pytest.FixtureRequest, trial: Trial) -> None:
    ground: Ground = request.getfixturevalue("fetching" if trial.route == "fetch" else "pushing")
    result = _conduct(trial, ground)
    assert result.problems == []
    assert result.struck, "the run was over before the fault came"


@pytest.mark.nightly
def test_damage_and_orphans_that_no_run_makes_are_found_by_the_same_looking(fetching: Ground) -> None:
    ground = fetching
    entry = next(one for one in ground.estate.entries() if one["model_id"] == MODEL)
    volume = ground.volume()
    assert volume is not None
    victim = volume / str(entry["location"]["sub_path"]) / "config.json"
    good = victim.read_bytes()
    victim.write_bytes(good[:-1] + b" ")
    orphan = ground.estate.folder / "var" / "spool" / "forgotten" / "shard"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"bytes")
    try:
        found = _conduct(_trial("fetch", "parameter", "sigterm", "plan", 0.2), ground).problems
    finally:
        victim.write_bytes(good)
        orphan.unlink()
    assert any("no version that the source ever held" in problem for problem in found), found
    assert any(str(orphan) in problem for problem in found), found


def _conduct(trial: Trial, ground: Ground) -> Result:
    return Conduct(trial, ground, {one.name: one for one in CATALOGUE}, lambda: None).run()


@pytest.mark.nightly  # that the other is registered: tests/e2e/test_refusals.py, with every change
def test_a_failing_model_of_two_stays_as_it_was_and_the_other_is_registered(
    fetching: Ground, tmp_path: Path
) -> None:
    ground = fetching
    estate, second = ground.estate, "second"
    model = {**ground.model, "id": second, "source": {"s3": {**ground.model["source"]["s3"]}}}
    model["source"]["s3"]["prefix"] = f"{estate.name}/{second}/"
    estate.environment["models"] = [ground.model, model]

    def upload(seed: int) -> dict[str, str]:
        folder = tmp_path / str(seed)
        write_small_llama(folder, seed=seed, shape=TINY)
        estate.upload(folder, second)
        return hashes(folder)

    before = upload(1001)
    code, command = ground.run("apply")
    assert code == 0, command.said
    standing = next(one for one in estate.entries() if one["model_id"] == second)

    upload(1002)
    ground.new_version()
    ground.proxy.faults.append(
        S3Fault(
            "error",
            status=403,
            code="AccessDenied",
            times=10_000,
            prefix=f"{estate.name}/{second}/",
            agent="weighbridge-mover",
        )
    )
    code, command = ground.run("apply")
    ground.proxy.calm()

    assert code == 4, command.said
    outcomes = {step["title"]: step["outcome"] for step in command.result["steps"]}
    assert outcomes[f"weights {MODEL}"] == "done"
    assert outcomes[f"weights {second}"] == "failed"
    assert outcomes[f"operator reconciles {CR}"] == "done"
    (error,) = command.result["errors"]
    assert "AccessDenied" in error["what"]
    assert error["remedy"]
    first = next(one for one in estate.entries() if one["model_id"] == MODEL)
    assert hashes(estate.volume(MODEL) / first["location"]["sub_path"]) == ground.versions[-1]
    assert [one for one in estate.entries() if one["model_id"] == second] == [standing]
    assert hashes(estate.volume(second) / standing["location"]["sub_path"]) == before
    assert estate.theirs() == ground.theirs
    assert estate.leftovers() == []

    code, command = ground.run("apply")
    assert code == 0, command.said
    now = next(one for one in estate.entries() if one["model_id"] == second)
    assert now["location"]["sub_path"] != standing["location"]["sub_path"]
