"""Ctrl-C while the console script still loads: it ends, and shows no traceback."""

import signal
import subprocess
import sys
from pathlib import Path

LOADS = "import time; from weighbridge import at_start; print('loading', flush=True); time.sleep(60)"
RUNS = "import signal; from weighbridge import at_start; at_start.armed(); print(repr(signal.getsignal(signal.SIGINT)))"


def _script(folder: Path, code: str) -> list[str]:
    file = folder / "weighbridge"
    file.write_text(code)
    return [sys.executable, str(file)]


def test_ctrl_c_while_modules_load_ends_it_without_a_traceback(tmp_path: Path) -> None:
    run = subprocess.Popen(
        _script(tmp_path, LOADS), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "loading\n"
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert (run.returncode, err) == (-signal.SIGINT, "")


def test_once_it_has_begun_ctrl_c_is_an_exception_again(tmp_path: Path) -> None:
    done = subprocess.run(_script(tmp_path, RUNS), capture_output=True, text=True, check=True)
    assert "default_int_handler" in done.stdout


def test_a_job_in_the_background_stays_deaf_to_ctrl_c(tmp_path: Path) -> None:
    words = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", *_script(tmp_path, RUNS)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "SIG_IGN" in done.stdout


def test_importing_it_elsewhere_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    from weighbridge import at_start  # noqa: PLC0415

    assert not at_start.disarmed("/usr/bin/pytest")
    assert signal.getsignal(signal.SIGINT) is before
