"""Another team writes to the same list without a pause while stacks are applied, updated and destroyed.

For some runs of ours with every change of the code, for many at night and by ``make test-writers``.
"""

import copy
import gc
import os
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from support.estate import Estate, Ran
from support.second_writer import Chronicle, SecondWriter, account, split
from support.stacks_lab import Lab, entry
from weighbridge.domain.stacks import StackSpec
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge_sandbox.layout import Layout

pytestmark = [
    pytest.mark.sandbox,
    # Pulumi's SDK leaves event loops and sockets of its inline programs to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SEED = int(os.environ.get("WRITER_SEED", "") or random.randrange(10**6))
OURS = frozenset({"m1", "m2", "llama-fetch"})


@pytest.fixture
def quiet_end() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


T = TypeVar("T")


class Runs:
    """Runs of ours, one after another, each held against the list."""

    def __init__(self, estate: Estate, lab: Lab, writer: SecondWriter) -> None:
        self.estate, self.lab, self.writer = estate, lab, writer
        self.stacks = lab.stacks()
        self.done: list[str] = []
        self.changing = 0
        self.again = 0
        """Calls that were made again because the API server was away."""
        self.declared: list[dict[str, Any]] = []
        self.standing: dict[str, dict[str, Any]] = {}

    def round(self, number: int) -> None:
        """Create, update, remove one of two, destroy; now and then the whole command, with weights that are in place."""
        first = self.lab.registration(entry("m1", max_new_tokens=100 + number), entry("m2"))
        self.up("create", first)
        self.up("update", self.lab.registration(entry("m1", max_new_tokens=200 + number), entry("m2")))
        self.up("remove one", self.lab.registration(entry("m1", max_new_tokens=200 + number)))
        if number % 4 == 1:
            self.command(number)
        self.destroy(first)

    def up(self, what: str, spec: StackSpec) -> None:
        wanted: dict[str, dict[str, Any]] = {str(row["model_id"]): dict(row) for row in spec.manifests}
        self.declared += wanted.values()
        result = self.patiently(lambda: self.stacks.up(spec, lambda _: None))
        assert result.changed or self.again
        self.standing = {key: row for key, row in self.standing.items() if key not in {"m1", "m2"}} | wanted
        self.changing += 1
        self.check(what)

    def destroy(self, spec: StackSpec) -> None:
        result = self.patiently(lambda: self.stacks.destroy(spec, lambda _: None))
        assert result.changed or self.again
        self.standing = {key: row for key, row in self.standing.items() if key not in {"m1", "m2"}}
        self.changing += 1
        self.check("destroy")

    def command(self, number: int) -> None:
        """``weighbridge apply`` with another parameter."""
        self.estate.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 100 + number
        pods = self.patiently(self.estate.pods_ever)
        applied = self.told("apply", "--json").json
        assert self.patiently(self.estate.pods_ever) == pods
        outcomes = {step["title"]: step["outcome"] for step in applied["steps"]}
        assert outcomes["stack registration"] == "done" or self.again
        [row] = [row for row in self.patiently(self.estate.entries) if row["model_id"] == "llama-fetch"]
        assert {item["name"]: item["default"] for item in row["parameters"]}["max_new_tokens"] == 100 + number
        self.declared.append(row)
        self.standing["llama-fetch"] = row
        self.changing += 1
        self.check("weighbridge apply")

    def told(self, *verb: str) -> Ran:
        """One call of the command, which has to succeed."""

        def call() -> Ran:
            ran = self.estate.run(*verb)
            if ran.code and "does not answer" in ran.said:
                raise PreconditionError(ran.said, code="cluster-unreachable")
            assert ran.code == 0, ran.said
            return ran

        return self.patiently(call)

    def patiently(self, act: Callable[[], T]) -> T:
        """``act``, and again where the API server was away: others may restart it, and that is no matter of this test."""
        for _ in range(20):
            try:
                return act()
            except (PreconditionError, StepFailedError) as error:
                if error.code != "cluster-unreachable" and not getattr(error, "transient", False):
                    raise
                self.again += 1
                time.sleep(3)
        return act()

    def check(self, what: str) -> None:
        """Ours as declared, each exactly once, whatever the writer has done meanwhile."""
        self.done.append(what)
        self.writer.require_alive()
        found = split(self.patiently(self.estate.entries), OURS)[1]
        assert {row["model_id"]: row for row in found} == self.standing
        assert len(found) == len(self.standing)


@pytest.mark.timeout(1800)  # the long one on a busy machine
@pytest.mark.parametrize(
    ("at_least", "edits"),
    [(5, 100), pytest.param(20, 1000, marks=pytest.mark.nightly)],
    ids=["short", "long"],
)
def test_no_edit_is_lost_and_ours_stand_there_once(  # noqa: PLR0913  what pytest hands in
    *,
    estate: Estate,
    sandbox: Layout,
    quiet_end: None,
    capsys: pytest.CaptureFixture[str],
    at_least: int,
    edits: int,
) -> None:
    assert quiet_end is None
    estate.environment = copy.deepcopy(estate.environment)
    estate.environment["models"] = [estate.environment["models"][0]]
    estate.applied()
    lab = Lab(estate.name, estate.folder / f"lab-{at_least}")
    lab.folder.mkdir()
    lab.log_in()
    with Chronicle(sandbox.kubeconfig, estate.name) as chronicle:
        with SecondWriter(sandbox.kubeconfig, estate.name, OURS, SEED) as writer:
            runs = Runs(estate, lab, writer)
            [row] = [row for row in estate.entries() if row["model_id"] == "llama-fetch"]
            runs.declared.append(row)
            runs.standing["llama-fetch"] = row
            number = 0
            while len(runs.done) < at_least or len(writer.edits) < edits:
                number += 1
                assert number <= 10 * at_least, (
                    "the writer is too slow for the number of edits that is asked for"
                )
                runs.round(number)
            runs.told("destroy", "--yes")
            runs.standing.pop("llama-fetch")
            runs.changing += 1
            runs.check("weighbridge destroy")
        writer.require_alive()
        spec = runs.patiently(estate.cr)["spec"]
        versions = chronicle.until(max(writer.edits), 120)

    found = account(versions, writer.edits, OURS, runs.declared, writer.without_version)
    told = (
        f"second writer, seed {SEED}: {found.foreign_edits} foreign edits during {len(runs.done)} runs of ours, "
        f"{writer.refused} of them made again after a conflict; {writer.unanswered} answers and {runs.again} calls of ours "
        f"lost with the API server; {len(versions)} versions, each explained:"
    )
    with capsys.disabled():
        sys.stdout.write("\n".join(["", told, *found.lines(), ""]))
    assert spec["custom_foundation_models"] == writer.model, "exactly the others' entries, in their order"
    assert spec["model_install_parameters"]["team_c"]["shards"] == writer.applied
    assert (found.ours, found.foreign_edits >= edits, len(runs.done) >= at_least) == (
        runs.changing,
        True,
        True,
    )
