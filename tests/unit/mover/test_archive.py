"""The mover as it travels: one file, the same everywhere, at home on the oldest Python that is promised."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.fake_s3 import fake_s3
from support.mover_bench import Bench, weight_set
from weighbridge.manifests.mover_archive import mover_archive


def pythons() -> list[str]:
    """This Python, and the oldest one promised where it is on PATH (and more than a version manager's stand-in)."""
    found = shutil.which("python3.9")
    works = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return [sys.executable, *([found] if found and works else [])]


@pytest.mark.parametrize("python", pythons())
def test_it_fetches_and_verifies_as_a_zipapp(tmp_path: Path, python: str) -> None:
    bench = Bench(tmp_path, weight_set(100_000, 1000), python=python)
    with fake_s3(bench.objects()) as s3:
        assert bench.run("fetch", s3).outcome == "published"
    assert bench.run("verify").outcome == "verified"
    assert bench.stored() == bench.files


def test_its_bytes_do_not_depend_on_time_or_place(tmp_path: Path) -> None:
    code = "from weighbridge.manifests.mover_archive import mover_archive; print(mover_archive().hex())"
    environment = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}
    other = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert bytes.fromhex(other.stdout) == mover_archive()
    assert len(mover_archive()) * 4 / 3 < 400_000, "a ConfigMap holds 1 MiB, and others may travel with it"


def test_it_needs_the_standard_library_alone(tmp_path: Path) -> None:
    archive = tmp_path / "mover.pyz"
    archive.write_bytes(mover_archive())
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(archive), "--help"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, "--order" in ran.stdout) == (0, True), ran.stderr


def test_a_defect_of_its_own_still_leaves_a_result(tmp_path: Path) -> None:
    bench = Bench(tmp_path, weight_set(1000))
    bench.write_order("http://unused")
    bench.volume.rmdir()
    ended = bench.run("verify")
    assert (ended.code, ended.error) == (4, "volume-io")
    assert ended.events[-1]["event"] == "result"
