"""The adapter `AnsiblePlaybooks` against the sandbox: results, progress, secrets, interruptions and kills."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import yaml

from support.estate import Estate
from support.s3_fault_proxy import S3Fault, S3FaultProxy, s3_fault_proxy
from weighbridge.core.events import Event, TransferProgress
from weighbridge.core.outcome import Declined, Done, Failed, Unchanged
from weighbridge.domain.naming import job_name
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Model, Route
from weighbridge.errors import VerificationError
from weighbridge.kubernetes.client import JOB
from weighbridge.steps.weights.made import PLAYBOOKS, WEIGHTS
from weighbridge.steps.weights.playbooks import AnsiblePlaybooks
from weighbridge.wiring import opened
from weighbridge_sandbox.layout import GATEWAY, S3_ENDPOINT

pytestmark = pytest.mark.sandbox

TMPFS = Path("/dev/shm")
DRIVER = """
import sys
from weighbridge.environment.types import Route
from weighbridge.steps.weights.made import PLAYBOOKS, WEIGHTS
from weighbridge.wiring import opened
with opened(sys.argv[1], sys.stderr, as_json=True, verbose=False) as found:
    model = found.environment.models[0]
    report = found.port(PLAYBOOKS).sync(model, found.port(WEIGHTS).list(model), Route(sys.argv[2]), print)
    print(report.outcome)
"""


class Port:
    def __init__(self, estate: Estate, file: Path, source: S3FaultProxy) -> None:
        self.estate = estate
        self.file = file
        self.source = source
        self.opened = opened(str(file), StringIO(), as_json=True, verbose=False)
        self.playbooks = cast("AnsiblePlaybooks", self.opened.port(PLAYBOOKS))
        self.model: Model = self.opened.environment.models[0]
        self.listing: SourceListing = self.opened.port(WEIGHTS).list(self.model)

    def forget(self) -> None:
        with contextlib.suppress(Exception):
            self.estate.forget_receipt(self.model.id)

    def job(self) -> dict[str, Any] | None:
        return self.estate.kube.get(JOB, job_name(self.estate.name, self.model.id, "fetch"), self.estate.name)

    @contextlib.contextmanager
    def driven(self, route: Route) -> "Iterator[subprocess.Popen[str]]":
        """A process that syncs, as an orchestrator does."""
        command = [sys.executable, "-c", DRIVER, str(self.file), route.value]
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield started
        finally:
            started.kill()
            started.communicate()


@pytest.fixture(scope="module")
def port(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    folder = tmp_path_factory.mktemp("port")
    keys = (os.environ["SANDBOX_S3_ACCESS_KEY"], os.environ["SANDBOX_S3_SECRET_KEY"])
    with (
        s3_fault_proxy(S3_ENDPOINT, keys, {keys[0]: (keys[1], None)}, host=GATEWAY) as source,
        pytest.MonkeyPatch.context() as patch,
    ):
        estate.environment["models"][0]["source"]["s3"]["endpoint"] = source.endpoint
        file = folder / f"{estate.name}.yaml"
        file.write_text(yaml.safe_dump(estate.environment, sort_keys=False))
        assert estate.run("render", "--out", str(folder / "out")).code == 0
        subprocess.run(
            ["kubectl", "apply", "-f", folder / "out" / "storage"], check=True, capture_output=True
        )
        patch.setenv("WEIGHBRIDGE_VAR", str(folder / "var"))
        made = Port(estate, file, source)
        yield made
        made.opened.kube.close()


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def lives(process: psutil.Process) -> bool:
    """One that has ended and waits for whoever adopted it to notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Any, what: str, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def test_fetch_reports_what_it_did_and_no_secret_is_to_be_seen_meanwhile(port: Port) -> None:
    secret = os.environ["SANDBOX_S3_SECRET_KEY"]
    events: list[Event] = []
    seen: list[str] = []
    looked = 0

    def observer(event: Event) -> None:
        nonlocal looked
        events.append(event)
        for process in children_of(os.getpid()):
            with contextlib.suppress(psutil.Error):
                looked += 1
                texts = [*process.cmdline(), *process.environ().values()]
                seen.extend(f"{process.name()} {process.pid}" for text in texts if secret in text)
        # Runs of others, beside this one, have folders of their own, and the same secret.
        for path in TMPFS.glob(f"weighbridge-*-{os.getpid()}-*/**/*"):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                if path.is_file() and path.name != "secrets.json" and secret in path.read_text():
                    seen.append(str(path))

    report = port.playbooks.sync(port.model, port.listing, Route.FETCH, observer)
    assert isinstance(report.outcome, Done), report.outcome
    assert report.receipt is not None
    assert report.receipt.fingerprint == port.listing.fingerprint
    assert report.bytes_moved == port.listing.total_bytes
    assert 0 < report.mover_rss_bytes <= 128 * 1024**2
    last = [event for event in events if isinstance(event, TransferProgress)][-1]
    assert last.bytes == last.total == port.listing.total_bytes
    assert looked > 0
    assert seen == []
    assert port.estate.leftovers() == []
    assert not list(TMPFS.glob(f"weighbridge-*-{os.getpid()}-*"))


def test_the_second_time_is_unchanged_and_quick(port: Port) -> None:
    pods = port.estate.pods_ever()
    started = time.process_time()
    report = port.playbooks.sync(port.model, port.listing, Route.FETCH, lambda _event: None)
    assert isinstance(report.outcome, Unchanged), report.outcome
    assert report.receipt is not None
    assert report.bytes_moved == 0
    assert port.estate.pods_ever() == pods
    assert time.process_time() - started < 2.5


def test_damage_is_a_verification_failure_with_its_receipt(port: Port) -> None:
    receipt = port.opened.cluster.receipts(port.estate.name)[port.model.id]
    victim = min((port.estate.volume(port.model.id) / receipt.sub_path).glob("*.safetensors"))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(bytes(content))

    report = port.playbooks.verify(port.model, receipt, lambda _event: None)
    assert isinstance(report.outcome, Failed)
    assert isinstance(report.outcome.error, VerificationError)
    assert report.receipt is not None
    assert report.receipt.damaged == (victim.name,)

    report = port.playbooks.sync(port.model, port.listing, Route.FETCH, lambda _event: None)
    assert isinstance(report.outcome, Done), report.outcome
    assert report.files_repaired == (victim.name,)
    assert report.bytes_moved == victim.stat().st_size


def folders_of(processes: list[psutil.Process]) -> set[Path]:
    """The private folders that these processes were given."""
    parts = [part for process in processes for part in process.cmdline()]
    return {Path(part) for part in parts if part.startswith(f"{TMPFS}/weighbridge-")}


def test_an_interrupted_run_takes_its_pods_along(port: Port) -> None:
    receipt = port.opened.cluster.receipts(port.estate.name)[port.model.id]
    shutil.rmtree(port.estate.volume(port.model.id) / receipt.sub_path)
    port.forget()
    port.source.faults.append(S3Fault("stall", seconds=300, times=10_000, agent="weighbridge-mover"))
    with port.driven(Route.FETCH) as process:
        wait_for(lambda: port.job() is not None, "the Job")
        playing = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert "KeyboardInterrupt" in (process.stderr.read() if process.stderr else "")
        assert not any(map(lives, playing))
    port.source.calm()
    assert port.estate.leftovers() == []
    assert port.opened.cluster.receipts(port.estate.name).get(port.model.id) is None


def test_a_killed_run_leaves_no_process_and_no_secret_and_the_next_one_finishes(port: Port) -> None:
    port.forget()
    with port.driven(Route.FETCH) as process:
        wait_for(lambda: port.job() is not None, "the Job")
        playing = children_of(process.pid)
        folders = folders_of(playing)
        assert folders
        process.kill()
        process.wait(10)
        wait_for(lambda: not any(map(lives, playing)), "the playbook's end", 20)
        wait_for(lambda: not any(folder.exists() for folder in folders), "removal of the private folder", 20)
    report = port.playbooks.sync(port.model, port.listing, Route.FETCH, lambda _event: None)
    assert isinstance(report.outcome, Done), report.outcome
    assert port.estate.leftovers() == []


def test_a_source_that_the_pod_cannot_reach_declines_so_that_another_route_is_tried(port: Port) -> None:
    model = port.model
    s3 = model.source.chosen.settings.model_copy(update={"endpoint": "http://10.213.77.1:9"})
    away = model.model_copy(update={"source": model.source.model_copy(update={"s3": s3})})
    listing = SourceListing(tuple(file for file in port.listing.files if file.path != "empty.txt"))
    report = port.playbooks.sync(away, listing, Route.FETCH, lambda _event: None)
    assert isinstance(report.outcome, Declined), report.outcome
    assert port.estate.leftovers() == []
