"""The adapter over real ansible-playbook runs that end before any cluster is asked."""

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from weighbridge.adapters.ansible import AnsiblePlaybooks, limit_seconds
from weighbridge.adapters.ansible_run import SECRETS_VARIABLE
from weighbridge.adapters.secrets import OVERLAY_VARIABLE
from weighbridge.domain.environment import Environment, Route
from weighbridge.domain.events import Event, Warned
from weighbridge.domain.outcome import Failed
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.manifests.bundle import Surroundings, deadline_seconds

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
    """The notes of a Lease that is held."""

    weights: frozenset[str] = frozenset()
    told: list[str] = field(default_factory=list)

    def weights_begin(self, model_id: str) -> None:
        self.weights |= {model_id}
        self.told.append(f"begin {model_id}")

    def weights_ended(self, model_id: str) -> None:
        self.weights -= {model_id}
        self.told.append(f"ended {model_id}")


def test_a_playbook_is_noted_before_it_starts_and_until_what_it_made_is_gone(
    playbooks: AnsiblePlaybooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notebook()
    ran = tmp_path / "ran"
    plays(tmp_path, monkeypatch, f'#!/bin/sh\necho "$@" >> {ran}\nexit 2\n')
    sync(replace(playbooks, notes=notes))
    assert (notes.told, notes.weights) == (["begin m", "ended m"], frozenset())
    assert len(ran.read_text().splitlines()) == 1


def test_the_note_stays_where_the_cleaning_up_was_killed_too(
    playbooks: AnsiblePlaybooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notebook()
    plays(tmp_path, monkeypatch, "#!/bin/sh\nkill -9 $$\n")
    events: list[Event] = []
    sync_of = replace(playbooks, notes=notes)
    sync_of.sync(playbooks.environment.models[0], LISTING, Route.FETCH, events.append)
    assert notes.weights == {"m"}
    assert [event.text for event in events if isinstance(event, Warned)] == [
        "Jobs, pods or keys of m may be left in the cluster: playbook clean_up_weights ended as failed; the next run removes them"
    ]


def test_what_a_run_that_died_left_of_a_model_is_removed_also_by_a_sync_of_another_route(
    playbooks: AnsiblePlaybooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notebook(frozenset({"m"}))
    ran = tmp_path / "ran"
    plays(
        tmp_path,
        monkeypatch,
        f'#!/bin/sh\necho "$@" >> {ran}\ncase "$*" in *sync_weights*) exit 2;; esac\nexit 0\n',
    )
    sync(replace(playbooks, notes=notes))
    assert "clean_up_weights.yml" in ran.read_text().splitlines()[1]
    assert notes.weights == frozenset()


@pytest.mark.parametrize(("code", "left"), [(0, set()), (2, {"m"})])
def test_settling_removes_what_dead_runs_left_and_says_what_it_could_not(
    playbooks: AnsiblePlaybooks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    left: set[str],
) -> None:
    notes = Notebook(frozenset({"m", "gone", "kept"}))
    ran = tmp_path / "ran"
    plays(tmp_path, monkeypatch, f'#!/bin/sh\necho "$@" >> {ran}\nexit {code}\n')
    events: list[Event] = []
    replace(playbooks, notes=notes).settle(frozenset({"kept"}), events.append)
    assert "clean_up_weights.yml" in ran.read_text()
    assert notes.weights == {"kept", *left}
    gone, mine = (event.text for event in events if isinstance(event, Warned))
    assert "which the environment file no longer declares: look for wb-test-gone-" in gone
    assert ("removed the Jobs, pods and keys of m" in mine) is (code == 0)
    assert ("the next run removes them" in mine) is (code != 0)
    assert list((tmp_path / "shm").iterdir()) == []


def test_a_failure_to_resolve_secrets_starts_nothing(playbooks: AnsiblePlaybooks, tmp_path: Path) -> None:
    def absent(_model_id: str) -> dict[str, str]:
        raise StepFailedError("no")

    with pytest.raises(StepFailedError):
        sync(replace(playbooks, secrets=absent))
    assert list((tmp_path / "shm").iterdir()) == []


def test_both_sides_of_the_hand_over_agree_on_its_name() -> None:
    assert SECRETS_VARIABLE == OVERLAY_VARIABLE
