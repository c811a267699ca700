"""Completion as a shell runs it, and the examples that help shows."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from weighbridge import cli
from weighbridge.cli import EXAMPLES, SHELLS, parser, verbs_of

COMPLETE = """\
eval "$(cat script)"
COMP_WORDS=(weighbridge "$@")
COMP_CWORD=$(($# ))
_shtab_weighbridge
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--print-completion", shell])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def completed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "script").write_text(script("bash", capsys))
    (tmp_path / "environments").mkdir()
    for name in ("stage", "sandbox", "production"):
        (tmp_path / "environments" / f"{name}.yaml").touch()
    (tmp_path / "here.yaml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pl",), {"plan"}),
        (("",), {"apply", "plan", "status"}),
        (("plan", "s"), {"stage", "sandbox"}),
        (("plan", "here"), {"here.yaml"}),
        (("apply", "stage", "--take"), {"--take-over"}),
        (("apply", "stage", "--only", ""), {"weights", "switch"}),
    ],
)
def test_bash_completes_verbs_environments_options_and_groups(
    completed: Path, words: tuple[str, ...], expected: set[str]
) -> None:
    bash = shutil.which("bash")
    assert bash, "make itself needs bash"
    done = subprocess.run(
        [bash, "--norc", "-c", COMPLETE, "weighbridge", *words],
        cwd=completed, capture_output=True, text=True, check=True,
    )  # fmt: skip
    offered = set(done.stdout.split())
    assert expected <= offered
    if words[-1]:
        assert all(word.startswith(words[-1]) for word in offered)


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_that_knows_every_verb(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = script(shell, capsys)
    assert all(verb in said for verb in EXAMPLES)


def test_another_shell_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--print-completion", "fish"])
    assert ended.value.code == 2
    assert "bash" in capsys.readouterr().err


def test_whoever_completes_starts_no_python(completed: Path) -> None:
    assert sys.executable not in (completed / "script").read_text()
    assert "python" not in (completed / "script").read_text().lower()


def test_every_verb_has_an_example_that_parses() -> None:
    assert set(EXAMPLES) == set(verbs_of(parser()))
    for verb, examples in EXAMPLES.items():
        for example in examples:
            program, *words = shlex.split(example, comments=True)
            assert program == "weighbridge"
            assert parser().parse_args(words).verb == verb


def test_help_shows_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["plan", "--help"])
    assert EXAMPLES["plan"][0] in capsys.readouterr().out
