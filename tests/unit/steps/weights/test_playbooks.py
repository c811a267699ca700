"""The adapter over real ansible-playbook runs that end before any cluster is asked."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.events import Event, Warned
from weighbridge.core.outcome import Failed
from weighbridge.domain.weights import Receipt, SourceFile, SourceListing
from weighbridge.engines.ansible.events import Collected
from weighbridge.engines.ansible.run import SECRETS_VARIABLE, PlaybookRun
from weighbridge.environment.secrets import OVERLAY_VARIABLE
from weighbridge.environment.types import Environment, Model, Route
from weighbridge.errors import InterruptedByUserError, PreconditionError, StepFailedError
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.steps.weights.bundle import deadline_seconds, render_weights, write_weights
from weighbridge.steps.weights.playbooks import AnsiblePlaybooks, limit_seconds

SECRET = "planted-secret-value"
KUBECONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "me", "user": {}}],
}
DOCUMENT = {
    "name": "test",
    "cluster": {"context": "here", "namespace": "ns"},
    "platform": {"version": "5.2"},
    "state": {"backend": "file://./state", "passphrase": {"env": "P"}},
    "pods": {"image": "image"},
    "models": [
        {
            "id": "m",
            "source": {
                "s3": {
                    "bucket": "b",
                    "endpoint": "http://127.0.0.1:1",
                    "credentials": {
                        "access_key": {"env": "PLANTED_KEY"},
                        "secret_key": {"env": "PLANTED_SECRET"},
                    },
                }
            },
            "storage": {},
        }
    ],
}
RECEIPT = Receipt(
    model_id="m",
    fingerprint="sha256:f",
    set_digest="sha256:d",
    claim="c",
    claim_uid="u",
    sub_path="m/f",
    files=1,
    total_bytes=1,
    route="fetch",
    published_at="2026-01-01T00:00:00Z",
    verified_at="2026-01-01T00:00:00Z",
    verdict="verified",
)
LISTING = SourceListing((SourceFile("config.json", 1, "e"),))


@pytest.fixture
def playbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnsiblePlaybooks:
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(KUBECONFIG))
    monkeypatch.setenv("KUBECONFIG", str(file))
    monkeypatch.setenv("PLANTED_SECRET", SECRET)
    (tmp_path / "shm").mkdir()
    return AnsiblePlaybooks(
        environment=Environment.model_validate(DOCUMENT, strict=False),
        around=Surroundings(folder=tmp_path, mover=b"mover"),
        secrets=lambda model_id: {"env:PLANTED_KEY": model_id, "env:PLANTED_SECRET": SECRET},
        spool=tmp_path / "spool",
        notes=Notebook(tmp_path / "unread"),
        tmpfs=tmp_path / "shm",
    )


def sync(playbooks: AnsiblePlaybooks) -> Failed:
    report = playbooks.sync(playbooks.environment.models[0], LISTING, Route.FETCH, lambda _event: None)
    assert isinstance(report.outcome, Failed)
    return report.outcome


def test_a_cluster_that_does_not_answer_is_a_precondition_in_one_sentence(
    playbooks: AnsiblePlaybooks,
) -> None:
    failed = sync(playbooks)
    assert isinstance(failed.error, PreconditionError)
    assert failed.error.code == "cluster-unreachable"
    assert "https://127.0.0.1:1" in failed.error.what


def test_a_context_that_does_not_exist_is_named_with_those_that_do(
    playbooks: AnsiblePlaybooks, tmp_path: Path
) -> None:
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG).replace('"here"', '"there"'))
    failed = sync(playbooks)
    assert failed.error.code == "cluster-config"
    assert "there" in (failed.error.remedy or "")


def test_nothing_stays_behind(playbooks: AnsiblePlaybooks, tmp_path: Path) -> None:
    sync(playbooks)
    assert list((tmp_path / "shm").iterdir()) == []


def test_the_environment_of_this_process_is_not_handed_on(
    playbooks: AnsiblePlaybooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ansible-playbook is a program that writes down what it was given; PATH is how it is found."""
    seen = tmp_path / "seen"
    plays(
        tmp_path,
        monkeypatch,
        f'#!/bin/sh\nenv > {seen}; echo "$@" >> {seen}; ls -l {tmp_path}/shm/*/secrets.json >> {seen}; exit 3\n',
    )
    sync_report = playbooks.sync(playbooks.environment.models[0], LISTING, Route.FETCH, lambda _event: None)
    assert isinstance(sync_report.outcome, Failed)
    text = seen.read_text()
    assert SECRET not in text
    assert "PLANTED" not in text
    assert "-rw-------" in text
    assert "WEIGHBRIDGE_SECRETS_FILE=" in text


def test_a_playbook_that_does_not_end_is_ended_cleaned_up_after_and_said_to_be_late(
    playbooks: AnsiblePlaybooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    plays(
        tmp_path,
        monkeypatch,
        f'#!/bin/sh\necho "$@" >> {ran}\ncase "$*" in *sync_weights*) exec sleep 60;; *) ls -d {tmp_path}/shm/*/weights >> {ran};; esac\n',
    )

    failed = sync(replace(playbooks, limit=1))

    assert isinstance(failed.error, StepFailedError)
    assert (failed.error.code, failed.error.transient) == ("deadline", True)
    assert "did not end within 1 s" in failed.error.what
    first, second, folder = ran.read_text().splitlines()
    assert "sync_weights.yml" in first
    assert "clean_up_weights.yml" in second
    assert folder.endswith("/weights"), "the cleaning up still finds what names the objects"
    assert list((tmp_path / "shm").iterdir()) == []


def test_a_failed_playbook_has_cleaned_up_after_itself(
    playbooks: AnsiblePlaybooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    plays(tmp_path, monkeypatch, f'#!/bin/sh\necho "$@" >> {ran}\nexit 2\n')
    sync(playbooks)
    assert len(ran.read_text().splitlines()) == 1


@pytest.mark.parametrize("victim", ["$$", "$PPID"])
def test_a_playbook_or_guard_that_is_killed_is_cleaned_up_after_and_said_to_be_killed(
    playbooks: AnsiblePlaybooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    ran = tmp_path / "ran"
    plays(
        tmp_path,
        monkeypatch,
        f'#!/bin/sh\necho "$@" >> {ran}\ncase "$*" in *sync_weights*) kill -9 {victim}; exec sleep 60;; esac\n',
    )

    failed = sync(playbooks)

    assert isinstance(failed.error, StepFailedError)
    assert (failed.error.code, failed.error.transient) == ("playbook-killed", True)
    assert failed.error.remedy
    assert "clean_up_weights.yml" in ran.read_text().splitlines()[1]
    assert list((tmp_path / "shm").iterdir()) == []


def test_a_playbook_may_take_as_long_as_all_the_deadlines_within_it() -> None:
    size, start = 10 * 2**30, 600
    assert limit_seconds(Route.PUSH, size, start) > 4 * (deadline_seconds(size) + start)
    for route in (Route.FETCH, None):
        assert limit_seconds(route, size, start) > deadline_seconds(size) + 2 * start


def plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """This script stands in for ansible-playbook."""
    spy = tmp_path / "ansible-playbook"
    spy.write_text(script)
    spy.chmod(0o755)
    monkeypatch.setattr("sys.executable", _beside(spy))


def _beside(program: Path) -> str:
    """An interpreter in the folder of ``program``, where the adapter looks for ansible-playbook."""
    link = program.with_name("python")
    link.symlink_to(os.path.realpath("/proc/self/exe"))
    return str(link)


@dataclass
class Notebook:
    """The notes of a Lease that is held. ``ran`` is what the stand-in for ansible-playbook writes down."""

    ran: Path
    weights: frozenset[str] = frozenset()
    told: list[tuple[str, int]] = field(default_factory=list)
    """What was noted, and how many playbooks had run by then."""
    lost: StepFailedError | None = None

    def require(self) -> None:
        if self.lost is not None:
            raise self.lost

    def weights_begin(self, model_id: str) -> None:
        self.require()
        self.weights |= {model_id}
        self.told.append((f"begin {model_id}", len(self.playbooks)))

    def weights_ended(self, model_id: str) -> None:
        self.weights -= {model_id}
        self.told.append((f"ended {model_id}", len(self.playbooks)))

    @property
    def playbooks(self) -> list[str]:
        lines = self.ran.read_text().splitlines() if self.ran.exists() else []
        return [next(Path(word).stem for word in line.split() if "/playbooks/" in word) for line in lines]


@dataclass
class Noted:
    """The adapter with notes, and a program in the place of ansible-playbook."""

    playbooks: AnsiblePlaybooks
    notes: Notebook
    events: list[Event] = field(default_factory=list)

    @property
    def model(self) -> Model:
        return self.playbooks.environment.models[0]

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warned)]

    def sync(self) -> None:
        self.playbooks.sync(self.model, LISTING, Route.FETCH, self.events.append)

    def verify(self) -> None:
        self.playbooks.verify(self.model, RECEIPT, self.events.append)


@pytest.fixture
def noted(
    playbooks: AnsiblePlaybooks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Noted:
    """``param``: what the program does after it has written down its arguments."""
    notes = Notebook(tmp_path / "ran")
    plays(tmp_path, monkeypatch, f'#!/bin/sh\necho "$@" >> {notes.ran}\n{request.param}\n')
    return Noted(replace(playbooks, notes=notes), notes)


def without_key(_model_id: str) -> dict[str, str]:
    raise PreconditionError("environment variable S3_KEY is not set")


FAILS, SUCCEEDS, DIES = "exit 2", "exit 0", "kill -9 $$"
CLEANS = 'case "$*" in *clean_up_weights*) exit 0;; esac; exit 2'


@pytest.mark.parametrize("noted", [FAILS], indirect=True)
def test_a_playbook_is_noted_before_it_starts_and_until_it_has_removed_what_it_made(noted: Noted) -> None:
    noted.sync()
    noted.verify()
    assert noted.notes.playbooks == ["sync_weights", "verify_weights"]
    assert noted.notes.told == [("begin m", 0), ("ended m", 1), ("begin m", 1), ("ended m", 2)]


@pytest.mark.parametrize("noted", [DIES], indirect=True)
def test_the_note_stays_where_the_cleaning_up_was_killed_too(noted: Noted) -> None:
    noted.sync()
    assert noted.notes.weights == {"m"}
    [warning] = noted.warnings
    assert warning.startswith("Jobs, pods or keys of m may be left in the cluster: playbook clean_up_weights")
    assert warning.endswith("the next apply or destroy tries again")


@pytest.mark.parametrize("noted", [CLEANS], indirect=True)
def test_a_verification_hands_on_what_an_earlier_run_left_and_removes_no_job_that_is_at_work(
    noted: Noted,
) -> None:
    noted.notes.weights = frozenset({"m"})
    noted.verify()
    assert noted.notes.playbooks == ["verify_weights"]
    assert noted.notes.weights == {"m"}


@pytest.mark.parametrize("noted", [CLEANS], indirect=True)
def test_a_sync_that_failed_before_it_looked_leaves_a_job_of_an_earlier_run_at_work(noted: Noted) -> None:
    noted.notes.weights = frozenset({"m"})
    noted.sync()
    assert noted.notes.playbooks == ["sync_weights"]
    assert noted.notes.weights == {"m"}


@pytest.mark.parametrize("noted", [FAILS], indirect=True)
def test_nothing_is_noted_of_what_never_started(noted: Noted) -> None:
    noted.playbooks = replace(noted.playbooks, secrets=without_key)
    with pytest.raises(PreconditionError):
        noted.sync()
    assert (noted.notes.told, noted.notes.weights) == ([], frozenset())


@pytest.mark.parametrize("noted", [FAILS], indirect=True)
def test_a_run_that_has_lost_the_environment_starts_no_playbook(noted: Noted, tmp_path: Path) -> None:
    noted.notes.lost = StepFailedError("this run has lost environment `test`")
    with pytest.raises(StepFailedError, match="lost"):
        noted.sync()
    assert noted.notes.playbooks == []
    assert list((tmp_path / "shm").iterdir()) == []


@pytest.mark.parametrize(
    "noted", ['case "$*" in *sync_weights*) exec sleep 60;; esac; exit 0'], indirect=True
)
def test_an_interruption_cleans_up_and_takes_the_note_back(noted: Noted) -> None:
    def soon() -> None:
        while not noted.notes.playbooks:
            time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=soon, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        noted.sync()
    assert noted.notes.playbooks == ["sync_weights", "clean_up_weights"]
    assert noted.notes.weights == frozenset()


def when(condition: Callable[[], bool], act: Callable[[], None]) -> None:
    """From another thread."""

    def soon() -> None:
        while not condition():
            time.sleep(0.05)
        act()

    threading.Thread(target=soon, daemon=True).start()


@pytest.mark.parametrize(
    "noted", ['case "$*" in *sync_weights*) exec sleep 60;; esac; exit 0'], indirect=True
)
def test_a_cancellation_ends_a_playbook_in_any_thread_as_an_interruption_would(
    noted: Noted, tmp_path: Path
) -> None:
    when(lambda: bool(noted.notes.playbooks), noted.playbooks.cancel)
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(noted.sync)
        with pytest.raises(InterruptedByUserError, match="sync_weights was interrupted"):
            running.result(60)
    assert time.monotonic() - began < 30
    assert noted.notes.playbooks == ["sync_weights", "clean_up_weights"]
    assert noted.notes.weights == frozenset()
    assert list((tmp_path / "shm").iterdir()) == []
    with pytest.raises(InterruptedByUserError):
        noted.verify()
    assert len(noted.notes.playbooks) == 2, "nothing begins any more"


@pytest.mark.parametrize("noted", ["exec sleep 60"], indirect=True)
def test_a_second_cancellation_ends_the_cleaning_up_too_and_the_note_stays(noted: Noted) -> None:
    when(lambda: bool(noted.notes.playbooks), noted.playbooks.cancel)
    when(lambda: len(noted.notes.playbooks) > 1, noted.playbooks.cancel)
    with pytest.raises(InterruptedByUserError):
        noted.sync()
    assert noted.notes.playbooks == ["sync_weights", "clean_up_weights"]
    assert noted.notes.weights == {"m"}


@pytest.mark.parametrize(("noted", "left"), [(SUCCEEDS, set()), (FAILS, {"m"})], indirect=["noted"])
def test_tidying_needs_no_keys_of_the_source_and_says_what_could_not_be_removed(
    noted: Noted, tmp_path: Path, left: set[str]
) -> None:
    noted.notes.weights = frozenset({"m"})
    replace(noted.playbooks, secrets=without_key).tidy("m", noted.events.append)
    assert noted.notes.playbooks == ["clean_up_weights"]
    assert noted.notes.weights == left
    assert ("they are removed" in noted.warnings[0]) is not bool(left)
    assert ("tries again" in noted.warnings[0]) is bool(left)
    assert list((tmp_path / "shm").iterdir()) == []


@pytest.mark.parametrize("noted", [FAILS], indirect=True)
def test_of_a_model_that_the_file_no_longer_declares_the_objects_are_named_once(noted: Noted) -> None:
    noted.notes.weights = frozenset({"gone"})
    noted.playbooks.tidy("gone", noted.events.append)
    [warning] = noted.warnings
    assert "kubectl -n ns delete jobs,pods,configmaps,secrets -l" in warning
    assert "weighbridge.dev/environment=test,weighbridge.dev/model=gone" in warning
    assert (noted.notes.playbooks, noted.notes.weights) == ([], frozenset())


def test_a_removal_that_failed_is_known_from_the_events_of_the_real_role(
    playbooks: AnsiblePlaybooks, tmp_path: Path
) -> None:
    folder = tmp_path / "shm" / "run"
    bundle = render_weights(playbooks.environment, playbooks.environment.models[0], LISTING, playbooks.around)
    write_weights(folder / "weights", bundle)
    (folder / "tmp").mkdir()
    for name, content in (("secrets.json", "{}"), ("extra.json", "{}")):
        (folder / name).write_text(content)
    said = Collected(receipts="", receipt_key="")
    assert said.tidy
    PlaybookRun(folder, "clean_up_weights", 60).follow(said, lambda _event: None)
    assert not said.tidy
    assert said.failure is not None


def test_a_failure_to_resolve_secrets_starts_nothing(playbooks: AnsiblePlaybooks, tmp_path: Path) -> None:
    def absent(_model_id: str) -> dict[str, str]:
        raise StepFailedError("no")

    with pytest.raises(StepFailedError):
        sync(replace(playbooks, secrets=absent))
    assert list((tmp_path / "shm").iterdir()) == []


def test_both_sides_of_the_hand_over_agree_on_its_name() -> None:
    assert SECRETS_VARIABLE == OVERLAY_VARIABLE
