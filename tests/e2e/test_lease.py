"""One run at a time, as a user meets it: real runs that wait, are displaced, and are killed in the middle of an update."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lightkube import Client, KubeConfig
from lightkube.types import PatchType

from support.estate import BIN, CR, Estate, Ran
from support.stacks_lab import command_line, processes_below, scratch_folders
from weighbridge.kubernetes.client import LEASE, POD, WATSONX_IFM
from weighbridge_sandbox.kube import Watsonxaiifm

pytestmark = pytest.mark.sandbox

BUCKET = "weighbridge-state"


@pytest.fixture(scope="module")
def one(estate: Estate) -> Estate:
    """The estate with one model that is fetched."""
    estate.environment["models"] = [estate.model("llama", "fetch")]
    return estate


def soon(holds: Callable[[], bool], seconds: float = 240, every: float = 0.1) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():  # asked once: it may not hold for long
            return True
        time.sleep(every)
    return False


@dataclass
class Running:
    """A run in the background."""

    process: "subprocess.Popen[str]"
    out: Path
    err: Path

    @property
    def said(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def end(self, seconds: float = 120) -> Ran:
        code = self.process.wait(seconds)
        return Ran(code, self.out.read_text(), self.err.read_text())


@contextmanager
def started(estate: Estate, verb: str, *arguments: str, **changes: Any) -> Iterator[Running]:
    """``weighbridge VERB …``, ended with the test at the latest."""
    file = estate.written(**changes)
    mine = estate.folder / f"{file.stem}-{time.monotonic_ns()}.yaml"  # the next run may write another one
    mine.write_text(file.read_text())
    out, err = mine.with_suffix(".out"), mine.with_suffix(".err")
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            [BIN / "weighbridge", verb, mine, *arguments],
            cwd=estate.folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )
    try:
        yield Running(process, out, err)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(120)


def lease(estate: Estate, name: str | None = None) -> dict[str, Any] | None:
    return estate.kube.get(LEASE, f"weighbridge-{name or estate.name}", estate.name)


def locks(estate: Estate) -> list[str]:
    prefix = f"{estate.name}/.pulumi/locks/"
    rows = estate.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [row["Key"] for row in rows if row["Key"].endswith(".json")]


def unfinished(estate: Estate) -> list[str]:
    """What the state says is being done right now to the model's registration: not to the stack itself, which Pulumi creates
    first, and in no time.
    """
    key = f"{estate.name}/.pulumi/stacks/weighbridge-registration/{estate.name}.json"
    try:
        body = estate.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except estate.s3.exceptions.NoSuchKey:
        return []
    latest = json.loads(body)["checkpoint"].get("latest") or {}
    rows = latest.get("pending_operations") or []
    return [row["type"] for row in rows if row["resource"]["type"].startswith("weighbridge:")]


@contextmanager
def busy(estate: Estate, verb: str = "apply") -> Iterator[Running]:
    """A real run in the middle of its work: its pod finds no node."""
    nowhere = {**estate.environment["pods"], "node_selector": {"example.com/no-such": "node"}}
    with started(estate, verb, pods=nowhere) as running:
        pending = {"weighbridge.dev/environment": estate.name}
        assert soon(lambda: bool(estate.kube.list(POD, estate.name, labels=pending)), 300), running.said
        yield running


@contextmanager
def operator_at_work(estate: Estate) -> Iterator[None]:
    """As if a run of it did not end, so that our provider waits for its turn and there is time to kill. Afterwards another
    team edits its entry: the stand-in looks at the next change of the spec, and says how it is.
    """
    begun, ended = threading.Event(), threading.Event()
    said = {"status": {"watsonxaiifmStatus": "InProgress"}}
    config = KubeConfig.from_file(estate.layout.kubeconfig)

    def work() -> None:  # said again, should the stand-in come along with what it was asked before
        with Client(config, field_manager="ifm-operator", trust_env=False) as operator:
            while not ended.wait(0.2):
                operator.patch(
                    Watsonxaiifm.Status, CR, said, patch_type=PatchType.MERGE, namespace=estate.name
                )
                begun.set()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            assert begun.wait(60) or working.done()  # what ended it is raised below
            yield
        finally:
            ended.set()
        working.result(30)
    tags = {
        "op": "replace",
        "path": "/spec/custom_foundation_models/0/tags",
        "value": [str(time.monotonic_ns())],
    }
    estate.kube.json_patch(WATSONX_IFM, CR, estate.name, [tags])


def test_a_second_run_is_refused_plan_and_status_say_whose_it_is_and_take_over_stops_the_first(
    one: Estate,
) -> None:
    with busy(one) as first:
        held = lease(one)
        assert held is not None
        host = os.uname().nodename

        refused = one.run("apply", "--json")
        assert refused.code == 3, refused.said
        [error] = refused.json["errors"]
        assert error["code"] == "run-under-way"
        for part in ("`apply`", f"@{host}", f"(process {first.process.pid},", "since 20", "last renewed 20"):
            assert part in error["what"]
        assert "--wait" in error["remedy"]
        assert "--take-over" in error["remedy"]

        began = time.monotonic()
        waited = one.run("destroy", "--yes", "--wait", "3")
        assert waited.code == 3, waited.said + first.said
        assert "(waited 3 s)" in waited.said
        assert time.monotonic() - began >= 3
        for verb in ("plan", "status"):
            looked = one.run(verb)
            assert looked.code == 0, looked.said
            assert (
                f"! a run is under way: `apply` of {held['spec']['holderIdentity'].partition('/')[0]}"
                in looked.out
            )
        assert first.process.poll() is None, "nobody has disturbed it"

        taker = one.run("apply", "--take-over", "--json")
        displaced = first.end()

    assert taker.code == 0, taker.said
    assert taker.json["complete"]
    assert displaced.code == 4, displaced.said
    assert "taken over by `apply`" in displaced.err
    assert f"@{host}" in displaced.err
    assert "Traceback" not in displaced.said
    assert "taken over, as asked, from `apply` of" in taker.err
    assert "has stopped" in taker.err
    assert lease(one) is None
    assert one.leftovers() == []
    assert [entry["model_id"] for entry in one.entries()][2:] == ["llama"]


def test_who_waits_runs_when_the_other_has_ended(one: Estate) -> None:
    with busy(one, "verify") as first, started(one, "verify", "--wait", "120") as second:
        assert soon(lambda: "waiting, " in second.said), second.said
        assert second.process.poll() is None
        first.process.send_signal(signal.SIGINT)
        assert first.end().code == 130
        ran = second.end()
    assert ran.code == 0, ran.said
    assert "Every byte was read" in ran.out
    assert lease(one) is None


@pytest.mark.parametrize("whole", [True, False], ids=["the run and its Pulumi", "the run alone"])
def test_a_run_killed_in_the_middle_of_an_update_is_recognised_and_the_next_one_finishes(
    one: Estate, *, whole: bool
) -> None:
    if whole:
        assert one.run("destroy", "--yes").code == 0  # so that something is being created when it dies
    else:
        one.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 300
    with operator_at_work(one), started(one, "apply") as running:
        assert soon(lambda: bool(locks(one)), 150, every=0.02), running.said
        assert soon(lambda: bool(unfinished(one)), every=0.02), running.said
        below = processes_below(running.process.pid)
        for pid in (*(int(child.name) for child in below if whole), running.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert running.process.wait(20) == -signal.SIGKILL
        assert soon(lambda: not any(map(command_line, below)))
    before = one.theirs()
    assert lease(one) is not None, "it had no time to give it back"
    if whole:
        assert soon(lambda: not any(map(command_line, below)))
        assert locks(one), "its Pulumi had no time either"
        assert unfinished(one) == ["creating"]
    assert "a run may have ended without a word (seen from here, its process" in one.run("status").out

    applied = one.run("apply", "--json")

    assert applied.code == 0, applied.said
    assert applied.json["complete"]
    assert "it counts as dead if it says nothing for another" in applied.err
    assert "taken over from a dead run, silent for" in applied.err
    assert ("for Pulumi to end what a dead run began" in applied.err) is whole
    assert ("removed the lock of stack `weighbridge-registration/" in applied.err) is whole
    assert locks(one) == []
    assert lease(one) is None
    assert one.theirs() == before
    assert [entry["model_id"] for entry in one.entries()][2:] == ["llama"]
    assert "creating" not in unfinished(one)
    assert one.run("plan", "--expect-no-changes").code == 0
    assert one.leftovers() == []
    assert soon(lambda: not any(map(command_line, below)))
    assert whole or soon(lambda: scratch_folders(running.process.pid) == [])


def test_a_run_whose_pulumi_is_killed_removes_the_lock_itself_and_the_next_one_finishes(one: Estate) -> None:
    one.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 350
    with operator_at_work(one), started(one, "apply") as running:
        assert soon(lambda: bool(locks(one)), 150, every=0.02), running.said
        assert soon(lambda: bool(unfinished(one)), every=0.02), running.said
        [pulumi] = [
            int(child.name)
            for child in processes_below(running.process.pid)
            if "pulumi --non-interactive up" in command_line(child)
            and "process_guard" not in command_line(child)
        ]
        os.kill(pulumi, signal.SIGKILL)
        failed = running.end()

    assert failed.code == 4, failed.said
    assert "was killed (signal 9)" in failed.said
    assert locks(one) == []
    assert lease(one) is None
    applied = one.run("apply", "--json")
    assert applied.code == 0, applied.said
    assert "dead run" not in applied.err
    assert applied.json["complete"]


def test_a_lock_that_nobody_of_ours_noted_is_refused_with_the_command_that_removes_it(one: Estate) -> None:
    one.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 400
    stack = f"organization/weighbridge-registration/{one.name}"
    content = {"pid": 1, "username": "jo", "hostname": "laptop-7", "timestamp": "2026-01-02T03:04:05Z"}
    key = f"{one.name}/.pulumi/locks/{stack}/0b5c.json"
    one.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(content).encode())

    refused = one.run("apply", "--json")

    assert refused.code == 3, refused.said
    [error] = refused.json["errors"]
    assert error["code"] == "stack-locked"
    for part in ("jo", "laptop-7", "process 1", "2026-01-02T03:04:05Z"):
        assert part in error["what"]
    command = f"pulumi cancel --yes --stack {stack}"
    assert command in error["remedy"]
    assert locks(one) == [key]

    done = subprocess.run(
        command.split(),
        env={
            **os.environ,
            "PULUMI_BACKEND_URL": one.environment["state"]["backend"],
            "AWS_ACCESS_KEY_ID": os.environ["SANDBOX_S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": os.environ["SANDBOX_S3_SECRET_KEY"],
            "PULUMI_HOME": str(one.folder / "pulumi-home"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert locks(one) == []
    assert one.applied()["complete"]


def test_two_environments_on_one_custom_resource_work_side_by_side(one: Estate) -> None:
    before = one.theirs()
    mine = [entry for entry in one.entries() if entry["model_id"] == "llama"]
    names = [f"{one.name}-{letter}" for letter in "ab"]
    both = [
        started(one, "apply", "--json", name=name, models=[one.model(f"llama-{name[-1]}", "fetch")])
        for name in names
    ]
    with both[0] as first, both[1] as second:
        ended = [first.end(200), second.end(200)]

    assert [ran.code for ran in ended] == [0, 0], ended[0].said + ended[1].said
    entries = one.entries()
    assert [entry for entry in entries if entry["model_id"] == "llama"] == mine
    assert sorted(entry["model_id"] for entry in entries)[:3] == ["llama", "llama-a", "llama-b"]
    theirs = {**before, "custom_foundation_models": before["custom_foundation_models"]}
    spec = dict(one.cr()["spec"])
    spec["custom_foundation_models"] = [
        entry for entry in entries if not entry["model_id"].startswith("llama")
    ]
    assert spec == theirs
    assert [lease(one, name) for name in names] == [None, None]
