"""Logins beside the administrator's in the sandbox's one kubeconfig."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from weighbridge.environment.types import Environment
from weighbridge.kubernetes.kubeconfig import kubeconfig
from weighbridge_sandbox import pki
from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.grants import DEFAULT, grant, log_in
from weighbridge_sandbox.layout import CONTEXT, Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.kubeconfig.touch(mode=0o600)
    made.kubeconfig.write_text(pki.kubeconfig(*map(pem, ("CERTIFICATE", "CERTIFICATE", "PRIVATE KEY"))))
    return made


def pem(label: str) -> bytes:
    return f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n".encode()


def names(layout: Layout, key: str) -> list[str]:
    return [row["name"] for row in json.loads(layout.kubeconfig.read_text())[key]]


def test_logins_stand_beside_the_administrators_which_stays_the_current_one(layout: Layout) -> None:
    log_in(layout, "one-user", "one", "first")
    log_in(layout, "two-user", "two", "other")
    log_in(layout, "one-user", "one", "second")
    assert (
        sorted(names(layout, "contexts"))
        == sorted(names(layout, "users"))
        == ["one-user", "two-user", CONTEXT]
    )
    environ = {"KUBECONFIG": str(layout.kubeconfig)}
    assert kubeconfig(None, environ).name == CONTEXT
    found = kubeconfig("one-user", environ)
    assert found.token == "second"
    assert found.server == kubeconfig(None, environ).server
    assert stat.S_IMODE(layout.kubeconfig.stat().st_mode) == 0o600


def test_several_at_once_lose_nothing(layout: Layout) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log_in(layout, f"u{number}", f"n{number}", "t"), range(24)))
    assert set(names(layout, "contexts")) == {CONTEXT, *(f"u{number}" for number in range(24))}


def test_the_administrators_own_context_is_never_given_away() -> None:
    document = yaml.safe_load(DEFAULT.read_text())
    assert document["cluster"]["context"] != CONTEXT
    document["cluster"]["context"] = CONTEXT
    with pytest.raises(CommandError, match="no context of its own"):
        grant(Environment.model_validate(document, strict=False))
