import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from semver import VersionInfo

from weighbridge.engines.pulumi.command import GuardedCommand, Limits, cli_version, find_tool, plugin_folders
from weighbridge.engines.pulumi.environment import StateSecrets
from weighbridge.engines.pulumi.errors import CommandFailedError
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.processes.machine import look_at

VERSION = VersionInfo.parse("3.255.0")


def script(folder: Path, body: str, name: str = "pulumi") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def command(executable: Path, limits: Limits | None = None) -> GuardedCommand:
    return GuardedCommand(
        executable,
        VERSION,
        environment={"PATH": os.defpath, "KEPT": "yes"},
        secrets=StateSecrets(passphrase="planted-passphrase"),
        limits=limits or Limits(),
    )


def test_a_command_gets_exactly_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMBIENT", "planted-ambient")
    result = command(script(tmp_path, "env")).run(["stack", "ls"], str(tmp_path), {"PULUMI_HOME": "/h"})
    lines = result.stdout.splitlines()
    assert "KEPT=yes" in lines
    assert "PULUMI_HOME=/h" in lines
    assert "PULUMI_AUTOMATION_API=true" in lines
    assert "planted" not in result.stdout


def test_the_passphrase_is_read_from_memory_and_stands_in_no_argument(tmp_path: Path) -> None:
    body = 'cat "$PULUMI_CONFIG_PASSPHRASE_FILE"; echo; tr "\\0" " " < /proc/$PPID/cmdline; echo "$@"'
    result = command(script(tmp_path, body)).run(["preview"], str(tmp_path), {})
    secret, *arguments = result.stdout.splitlines()
    assert secret == "planted-passphrase"
    assert "planted" not in "".join(arguments)
    assert "--non-interactive preview" in arguments[0]


def test_output_is_heard_line_by_line_while_it_runs(tmp_path: Path) -> None:
    heard: list[str] = []
    result = command(script(tmp_path, "echo one; echo two; echo three >&2")).run(
        ["up"], str(tmp_path), {}, on_output=heard.append
    )
    assert heard == ["one", "two"]
    assert (result.stdout, result.stderr, result.code) == ("one\ntwo", "three", 0)


def test_a_failure_keeps_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError) as failed:
        command(script(tmp_path, "echo why >&2; exit 6")).run(["up"], str(tmp_path), {})
    assert failed.value.result.code == 6
    assert failed.value.result.stderr == "why"


def test_a_killed_guard_leaves_no_plugin_and_the_command_counts_as_killed(tmp_path: Path) -> None:
    plugin = "import os, time; os.setpgid(0, 0); open('plugin', 'w').write(str(os.getpid())); time.sleep(600)"
    saving = "trap 'sleep 0.5; echo saved > state; exit' TERM"
    body = (
        f'{saving}\n"{sys.executable}" -c "{plugin}" &\n'
        "while [ ! -s plugin ]; do sleep 0.05; done; kill -9 $PPID; while :; do sleep 0.05; done"
    )
    with pytest.raises(CommandFailedError) as failed:
        command(script(tmp_path, body)).run(["up"], str(tmp_path), {})
    assert failed.value.result.code == 128 + signal.SIGKILL
    assert (tmp_path / "state").read_text() == "saved\n", "Pulumi may save what it was at"
    assert look_at(int((tmp_path / "plugin").read_text())) is None


def test_what_does_not_end_is_cancelled_politely_and_called_transient(tmp_path: Path) -> None:
    body = f"trap 'echo asked > {tmp_path}/asked; exit 1' TERM; while :; do sleep 0.05; done"
    limits = Limits(read=0.5, write=60, grace=10)
    began = time.monotonic()
    with pytest.raises(StepFailedError) as late:
        command(script(tmp_path, body), limits).run(["preview"], str(tmp_path), {})
    assert late.value.transient
    assert "preview" in str(late.value)
    assert (tmp_path / "asked").exists()
    assert time.monotonic() - began < 10


def test_another_thread_can_cancel(tmp_path: Path) -> None:
    body = f"trap 'exit 8' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    running = command(script(tmp_path, body))

    def cancel() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        running.cancel()

    helper = threading.Thread(target=cancel)
    helper.start()
    with pytest.raises(CommandFailedError) as failed:
        running.run(["up"], str(tmp_path), {})
    helper.join()
    assert failed.value.result.code == 8


def test_a_missing_tool_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError) as missing:
        find_tool("pulumi", [tmp_path], str(tmp_path / "none"))
    assert missing.value.exit_code == 3
    assert "install Pulumi 3.255.0" in str(missing.value)


def test_a_tool_is_taken_from_the_first_folder_that_has_it(tmp_path: Path) -> None:
    first, second = script(tmp_path / "a", "true"), script(tmp_path / "b", "true")
    assert find_tool("pulumi", [tmp_path / "none", first.parent], str(second.parent)) == first
    assert find_tool("pulumi", [], str(second.parent)) == second


def test_the_version_is_asked_once_and_again_when_the_file_changed(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "cli.json"
    tool = script(tmp_path, f"echo asked >> {tmp_path}/asked; echo v3.255.0")
    assert cli_version(tool, cache) == cli_version(tool, cache) == VERSION
    assert (tmp_path / "asked").read_text() == "asked\n"
    script(tmp_path, f"echo asked >> {tmp_path}/asked; echo v3.300.1")
    assert str(cli_version(tool, cache)) == "3.300.1"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"other": "v1"}'])
def test_a_damaged_cache_is_no_harm(tmp_path: Path, content: str) -> None:
    cache = tmp_path / "cli.json"
    cache.write_text(content)
    assert cli_version(script(tmp_path, "echo v3.255.0"), cache) == VERSION
    assert len(json.loads(cache.read_text())) == 1


@pytest.mark.parametrize("answer", ["v3.254.9", "v2.9.9", "v4.0.0", "unreleased", ""])
def test_a_cli_of_an_unfit_version_is_refused(tmp_path: Path, answer: str) -> None:
    with pytest.raises(PreconditionError) as refused:
        cli_version(script(tmp_path, f"echo {answer}"), tmp_path / "cli.json")
    assert refused.value.code == "tool-version"
    assert not (tmp_path / "cli.json").exists()


def test_a_cli_that_cannot_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="failed"):
        cli_version(script(tmp_path, "exit 1"), tmp_path / "cli.json")


def test_plugins_that_the_user_installed_are_found_newest_first(tmp_path: Path) -> None:
    for version in ("4.9.0", "4.26.0", "4.10.1"):
        script(tmp_path / "plugins" / f"resource-kubernetes-v{version}", "true", "pulumi-resource-kubernetes")
    (tmp_path / "plugins" / "resource-kubernetes-v9.0.0").mkdir()
    found = plugin_folders("kubernetes", tmp_path)
    assert [folder.name.rpartition("-v")[2] for folder in found] == ["4.26.0", "4.10.1", "4.9.0"]
