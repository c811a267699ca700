"""What the doctor says of this machine: Ansible under the variables that an apply gives it, and a folder in memory."""

from pathlib import Path

import pytest

from support.world import environment
from weighbridge.core.finding import Level
from weighbridge.doctor.cluster import judge_tool
from weighbridge.doctor.tools import LocalTools
from weighbridge.probing.probes import Tool

ABSENT_LOCALE = """#!/bin/sh
if [ "$LC_ALL" = C.UTF-8 ]; then
    echo 'ERROR: Ansible could not initialize the preferred locale: unsupported locale setting' >&2
    exit 1
fi
"""


def ansible(folder: Path, script: str | None) -> Tool:
    if script is not None:
        (folder / "ansible-playbook").write_text(script)
        (folder / "ansible-playbook").chmod(0o700)
    return LocalTools(environment("one"), folder, path="/bin", beside=folder)._ansible()


def test_a_system_without_the_locale_that_playbooks_get_is_found_before_an_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    found = judge_tool(ansible(tmp_path, ABSENT_LOCALE))
    assert found.level is Level.FAIL
    assert found.said == f"{tmp_path}/ansible-playbook --version fails with LC_ALL=C.UTF-8"
    assert "locale" in (found.remedy or "")


def test_a_locale_of_the_user_s_that_is_absent_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY")
    assert ansible(tmp_path, ABSENT_LOCALE.replace("C.UTF-8", "xx_YY")).problem is None


def test_one_that_is_not_beside_us_is_none_that_an_apply_would_start(tmp_path: Path) -> None:
    assert ansible(tmp_path, None).problem == "ansible-playbook is not installed beside weighbridge"


def test_a_machine_without_a_folder_in_memory_is_told_before_an_apply_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    found = judge_tool(LocalTools(environment("one"), tmp_path, "/bin", memory=tmp_path / "none")._memory())
    assert found.level is Level.FAIL
    assert found.said.startswith(f"no folder in memory can be written to ({tmp_path}/none, ")
    assert "TMPDIR" in (found.remedy or "")
    there = judge_tool(LocalTools(environment("one"), tmp_path, "/bin", memory=tmp_path)._memory())
    assert (there.name, there.level, there.said) == ("memory", Level.OK, str(tmp_path))


def test_the_memory_is_among_what_is_looked_at(tmp_path: Path) -> None:
    assert "memory" in {tool.name for tool in LocalTools(environment("one"), tmp_path, "/bin").look()}
