"""How long a run has to be silent until it counts as dead: one setting, for sandboxes, read once."""

import io
from pathlib import Path

import pytest
import yaml

from support.environment_texts import ENVIRONMENTS
from weighbridge import cli
from weighbridge.domain.lease import Silence
from weighbridge.errors import InputError
from weighbridge.wiring import opened, told_silence
from weighbridge_sandbox.layout import SILENCE

NAME = "WEIGHBRIDGE_SILENCE_SECONDS"
FILE = str(ENVIRONMENTS / "sandbox.yaml")


def test_without_the_setting_it_is_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    assert told_silence() == Silence(60)


@pytest.mark.parametrize("text", ["15", "20", "60"])
def test_what_is_said_counts(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    assert told_silence() == Silence(int(text))


@pytest.mark.parametrize("text", ["14", "61", "0", "-20", "20.5", "2e1", "020", " 20", "", "soon", "٢٠"])
def test_anything_else_is_wrong_input(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(InputError, match=f"{NAME} is .* whole number of seconds from 15 to 60"):
        told_silence()


def test_it_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(NAME, "61")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert cli.run(["apply", FILE]) == 2
    said = capsys.readouterr().err
    assert said.count("weighbridge: ") == 1
    assert f"{NAME} is 61" in said


def test_the_sandboxs_own_reaches_the_lease_and_the_guards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context = {"name": "weighbridge-sandbox-user", "context": {"cluster": "c", "user": "u"}}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [context],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    for name in ("SANDBOX_S3_ACCESS_KEY", "SANDBOX_S3_SECRET_KEY", "SANDBOX_PULUMI_PASSPHRASE"):
        monkeypatch.setenv(name, "planted")
    for name, value in SILENCE.items():
        monkeypatch.setenv(name, value)

    [seconds] = map(int, SILENCE.values())
    with opened(FILE, io.StringIO(), as_json=True, verbose=False) as environment:
        settings = environment.stacks._settings
        assert environment.lock.silence == Silence(seconds)
        assert settings.limits.grace == seconds
        assert settings.locks is not None
        assert settings.locks.grace == seconds
