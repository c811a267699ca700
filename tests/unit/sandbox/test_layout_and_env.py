"""Where state lies, and what `env` hands to a shell."""

import subprocess
from pathlib import Path

import pytest

from weighbridge_sandbox import shell_env
from weighbridge_sandbox.layout import Layout, default_home


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"WEIGHBRIDGE_SANDBOX_HOME": "/srv/wb", "XDG_STATE_HOME": "/state", "HOME": "/home/a"}, "/srv/wb"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/a"}, "/state/weighbridge-sandbox"),
        ({"HOME": "/home/a"}, "/home/a/.local/state/weighbridge-sandbox"),
        ({"WEIGHBRIDGE_SANDBOX_HOME": "", "HOME": "/home/a"}, "/home/a/.local/state/weighbridge-sandbox"),
    ],
)
def test_the_home_is_the_named_one_else_the_xdg_one(environ: dict[str, str], home: str) -> None:
    assert default_home(environ) == Path(home)


def evaluated(layout: Layout, variable: str) -> str:
    script = f'{shell_env.exports(layout)}printf %s "${variable}"'
    environment = {"PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env=environment
    ).stdout


def test_a_shell_gets_the_credentials_though_the_text_does_not_hold_them(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a home with 'quotes' and $dollars")
    layout.s3.mkdir(parents=True)
    layout.s3_access_key.write_text("the-access-key\n")
    layout.s3_secret_key.write_text("the-secret-key\n")
    layout.passphrase.write_text("the-passphrase\n")

    text = shell_env.exports(layout)

    assert not any(secret in text for secret in ("the-access-key", "the-secret-key", "the-passphrase"))
    assert evaluated(layout, "SANDBOX_S3_ACCESS_KEY") == "the-access-key"
    assert evaluated(layout, "SANDBOX_S3_SECRET_KEY") == "the-secret-key"
    assert evaluated(layout, "SANDBOX_PULUMI_PASSPHRASE") == "the-passphrase"
    assert evaluated(layout, "KUBECONFIG") == str(layout.kubeconfig)
    assert evaluated(layout, "PATH") == f"{layout.bin}:/usr/bin:/bin"
    assert evaluated(layout, "SANDBOX_S3_ENDPOINT") == "http://10.213.77.1:27070"
    assert evaluated(layout, "WEIGHBRIDGE_SILENCE_SECONDS") == "30"


def test_json_env_names_files_and_no_values(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert shell_env.as_json(layout)["SANDBOX_S3_SECRET_KEY_FILE"] == str(tmp_path / "s3" / "secret-key")
