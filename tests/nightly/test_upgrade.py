"""An environment that an earlier commit has applied, under the present code: nothing is to do, and all of it is known.

Tests of this module run in order on one estate: each starts from what the one before left.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.estate import Estate, Ran
from support.old_code import NoSuchCommitError, check_out, imported_from, install
from weighbridge.domain.naming import claim_name
from weighbridge.kubernetes.client import CLAIM

pytestmark = [pytest.mark.nightly, pytest.mark.sandbox, pytest.mark.timeout(1800)]

OLD = "fb15824"
"""The last commit before the house was rebuilt."""
NAMED = "Example/Llama.v2"
"""A model id that no object's name can hold."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the old code's programs."""
    folder = tmp_path_factory.mktemp("old")
    try:
        code = check_out(OLD, folder / "code")
    except NoSuchCommitError as error:
        pytest.fail(str(error), pytrace=False)
    programs = install(code, folder / "environment")
    for module in ("weighbridge", "weighbridge_stacks"):
        assert imported_from(programs, module).is_relative_to(code), (
            "another code would be tried than the old"
        )
    return programs


@pytest.fixture(scope="module")
def applied(estate: Estate, old: Path) -> dict[str, Any]:
    """What the old code did, and the marks of it."""
    named = estate.model(NAMED, "fetch") | {"tags": ["upgrade", "größe"]}
    estate.environment["models"].append(named)
    _grant_as_old(estate, old)
    first = _by_old(estate, old, "apply", "--json")
    assert first.code == 0, first.said
    assert {step["outcome"] for step in first.json["steps"]} == {"done"}
    again = _by_old(estate, old, "plan", "--expect-no-changes")
    assert again.code == 0, f"the old code itself finds something to do\n{again.said}"
    estate.held = False
    estate.regranted()  # the administrator's part of an upgrade
    return estate.marks()


def _grant_as_old(estate: Estate, old: Path) -> None:
    """The Roles and the policy that the old code writes for its own names, in place of today's."""
    estate.written()
    estate.held = True
    folder = estate.folder / "old-rbac"
    written = _by_old(estate, old, "rbac", "--out", str(folder))
    assert written.code == 0, written.said
    apply = ["kubectl", "apply", "--server-side", "--force-conflicts", "-f", str(folder)]
    subprocess.run(apply, check=True, capture_output=True)


def _by_old(estate: Estate, old: Path, verb: str, *arguments: str) -> Ran:
    """A command of the old code, whose programs come first on PATH and whose modules nothing comes before."""
    path = f"{old}{os.pathsep}{os.environ['PATH']}"
    return estate.run(verb, *arguments, programs=old, env={"PATH": path, "PYTHONPATH": ""})


def test_the_plan_is_empty(estate: Estate, applied: dict[str, Any]) -> None:
    ran = estate.run("plan", "--expect-no-changes")
    assert ran.code == 0, ran.said
    assert estate.marks() == applied


def test_an_apply_changes_nothing(estate: Estate, applied: dict[str, Any]) -> None:
    ran = estate.run("apply", "--json")
    assert ran.code == 0, ran.said
    assert [step for step in ran.json["steps"] if step["outcome"] != "unchanged"] == []
    assert estate.marks() == applied


def test_every_model_is_known_as_ours_and_verified(estate: Estate, applied: dict[str, Any]) -> None:
    assert applied
    status = estate.run("status", "--json").json
    assert {
        row["model"]: (row["entry_owner"], row["receipt"] and row["receipt"]["verdict"])
        for row in status["models"]
    } == dict.fromkeys((model["id"] for model in estate.environment["models"]), ("ours", "verified"))


def test_what_lies_on_the_volumes_is_proven_by_the_old_receipts(
    estate: Estate, applied: dict[str, Any]
) -> None:
    assert applied
    ran = estate.run("verify", "--json")
    assert ran.code == 0, ran.said
    assert ran.json["sound"]
    assert estate.run("plan", "--expect-no-changes").code == 0


def test_a_destroy_finds_everything(estate: Estate, applied: dict[str, Any]) -> None:
    assert applied
    claims = [claim_name(estate.name, model["id"]) for model in estate.environment["models"]]
    ran = estate.run("destroy", "--yes", *(word for name in claims for word in ("--weights", name)))
    assert ran.code == 0, ran.said
    assert [name for name in claims if estate.kube.get(CLAIM, name, estate.name)] == []
    assert estate.leftovers() == []
