"""Login helpers that fail, hang or say something else: named, in time, with their children, and never a traceback."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from support.tls_api import UID, TlsApi, tls_api
from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.client import Kube, connect
from weighbridge.processes.machine import look_at
from weighbridge.processes.variables import Outside

V1 = "client.authentication.k8s.io/v1"
PLANTED_LINES = json.dumps("planted\ntoken").strip('"').replace("\\", "\\\\")
TOKEN = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": "planted-token"}})


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TlsApi]:
    with tls_api(tmp_path) as running:
        yield running


def connected(
    api: TlsApi, script: str, *, outside: Outside | None = None, seconds: float = 20, **more: object
) -> Kube:
    """A login by ``helper.sh``, which is ``script``."""
    program = api.folder / "helper.sh"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o700)
    (api.folder / "ca.pem").write_text(api.ca)
    document = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": api.url, "certificate-authority": "ca.pem"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "users": [
            {
                "name": "u",
                "user": {
                    "exec": {"apiVersion": V1, "command": "./helper.sh", "interactiveMode": "Never", **more}
                },
            }
        ],
    }
    (api.folder / "config").write_text(yaml.safe_dump(document))
    environ = {"KUBECONFIG": str(api.folder / "config")}
    return connect(context=None, outside=outside, helper_seconds=seconds, environ=environ)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo 'session expired, log in again' >&2; exit 1",
            "ended with code 1: session expired, log in again",
        ),
        ("kill -9 $$", "was ended by signal 9"),
        ("exit 0", "does not answer with an ExecCredential"),
        ("echo planted-token", "does not answer with an ExecCredential"),
        (
            f"echo '{TOKEN.replace('/v1', '/v1beta1')}'",
            "answers in '.*v1beta1', and the kubeconfig says .*/v1",
        ),
        (f"echo '{TOKEN.replace('token', 'other')}'", "neither a token nor a certificate"),
        (f'echo \'{TOKEN[:-2]}, "expirationTimestamp": "soon"}}}}\'', "expirationTimestamp that is no time"),
        ("head -c 200000 /dev/zero | tr '\\0' '['", "does not answer with an ExecCredential"),
        (
            f'echo \'{TOKEN[:-2]}, "expirationTimestamp": "0001-01-01T00:00:00"}}}}\'',
            "expirationTimestamp that is no time",
        ),
        (
            f"echo '{TOKEN.replace('planted-token', PLANTED_LINES)}'",
            "a token that no header can carry: it holds a line break",
        ),
        ("exec head -c 5000000 /dev/zero", "does not answer with an ExecCredential"),
    ],
)
def test_a_helper_that_does_not_do_its_part_is_named(api: TlsApi, script: str, words: str) -> None:
    with closing(connected(api, script)) as kube, pytest.raises(PreconditionError, match=words) as found:
        kube.identity()
    assert f"{api.folder}/config, context 'here': the login helper {api.folder}/helper.sh" in found.value.what
    assert found.value.code == "login-helper"
    assert found.value.remedy
    assert "planted" not in str(found.value)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("GET /token Authorization: Bearer PLANTED token=PLANTED", "GET /token"),
        ("session for ann: the refresh token is expired", "session for ann: the refresh token is expired"),
        ('{"access_token": "PLANTED", "error": "late"}', "late"),
        ("cannot log in to https://u:PLANTED@sso.example.com/", "cannot log in to"),
        ("used $OWN_PASSWORD, $STATE_SECRET and $AROUND_TOKEN at sso", "at sso"),
        ("got sha256~PLANTEDaBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789", "got sha256~"),
        ("got eyJPLANTEDabc.eyJPLANTEDabc.PLANTED-0-abcdefghijklmn", "got"),
    ],
)
def test_what_a_helper_says_is_told_without_what_it_was_given_and_what_it_got(
    api: TlsApi, monkeypatch: pytest.MonkeyPatch, said: str, kept: str
) -> None:
    monkeypatch.setenv("STATE_SECRET", "PLANTED one")
    monkeypatch.setenv("AROUND_TOKEN", "PLANTED two")
    script = f"""STATE_SECRET='PLANTED one'; OWN_PASSWORD='PLANTED three'
cat <<WORDS >&2
{said}
WORDS
exit 1
"""
    own = [{"name": "OWN_PASSWORD", "value": "PLANTED three"}]
    outside = Outside(withheld=frozenset({"STATE_SECRET"}))
    with (
        closing(connected(api, script, outside=outside, env=own)) as kube,
        pytest.raises(PreconditionError, match="ended with code 1: ") as found,
    ):
        kube.identity()
    assert kept in found.value.what
    assert "PLANTED" not in str(found.value)


def test_a_helper_that_hangs_is_ended_in_time_with_its_children(api: TlsApi) -> None:
    file = api.folder / "child"
    began = time.monotonic()
    hanging = connected(api, f"trap '' TERM; sleep 300 & echo $! > {file}; wait", seconds=1)
    with (
        closing(hanging) as kube,
        pytest.raises(PreconditionError, match="not answer within 1 s and was ended"),
    ):
        kube.identity()
    assert time.monotonic() - began < 15
    assert look_at(int(file.read_text())) is None


def test_what_a_helper_leaves_running_on_purpose_is_not_waited_for(api: TlsApi) -> None:
    file = api.folder / "left"
    with closing(connected(api, f"sleep 60 & echo $! > {file}; echo '{TOKEN}'")) as kube:
        began = time.monotonic()
        assert kube.identity() == UID
        assert time.monotonic() - began < 10
    os.kill(int(file.read_text()), 9)


def test_one_answer_serves_every_connection_and_thread_of_this_process(api: TlsApi) -> None:
    script = f"echo x >> {api.folder}/asked; echo '{TOKEN}'"
    with closing(connected(api, script)) as one, closing(connected(api, script)) as two:
        threads = [threading.Thread(target=kube.identity) for kube in (one, two) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (api.folder / "asked").read_text() == "x\n"
    assert len(api.seen) == 8


def test_a_refused_token_is_asked_for_again_once(api: TlsApi) -> None:
    api.accepts = {"nobody"}
    script = f"echo x >> {api.folder}/asked; echo '{TOKEN}'"
    with (
        closing(connected(api, script)) as kube,
        pytest.raises(PreconditionError, match="does not accept the login"),
    ):
        kube.identity()
    assert (api.folder / "asked").read_text() == "x\nx\n"


def test_a_helper_gets_what_its_author_reads_and_none_of_our_secrets(
    api: TlsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUNT_CLIENT_SECRET", "of the helper")
    monkeypatch.setenv("AWS_PROFILE", "of the helper")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/of/the/helper.pem")
    monkeypatch.setenv("STATE_SECRET", "planted")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "planted")
    outside = Outside(withheld=frozenset({"STATE_SECRET"}))
    with closing(connected(api, f"env > {api.folder}/seen; echo '{TOKEN}'", outside=outside)) as kube:
        kube.identity()
    seen = (api.folder / "seen").read_text()
    assert seen.count("of the helper") == 2
    assert "AWS_CA_BUNDLE=/of/the/helper.pem" in seen
    assert "planted" not in seen
