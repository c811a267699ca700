"""Every field of a kubeconfig is honoured or refused by name, and files are merged as kubectl does."""

import base64
import datetime as dt
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.http_proxy import http_proxy
from support.tls_api import UID, TlsApi, tls_api
from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.client import connect
from weighbridge.kubernetes.kubeconfig import kubeconfig, service_account
from weighbridge.kubernetes.kubeconfig_fields import EXEC_VERSIONS, FATES, Honoured, Refused

V1 = "client.authentication.k8s.io/v1"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TlsApi]:
    with tls_api(tmp_path) as running:
        running.accepts = {"good"}
        yield running


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def written(
    api: TlsApi,
    user: dict[str, Any],
    cluster: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
) -> dict[str, str]:
    """The environment that names a kubeconfig of one context, ``here``."""
    values = {"server": api.url, "certificate-authority-data": b64(api.ca), **(cluster or {})}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [
            {"name": "c", "cluster": {key: value for key, value in values.items() if value is not None}}
        ],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", **(context or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    file = api.folder / "config.yaml"
    file.write_text(yaml.safe_dump(document))
    return {"KUBECONFIG": str(file)}


def helper(
    api: TlsApi, status: dict[str, Any] | None = None, version: str = V1, **more: Any
) -> dict[str, Any]:
    """A user with a login helper that says ``status``, and writes down what it was told."""
    said = {"apiVersion": version, "kind": "ExecCredential", "status": status or {"token": "good"}}
    (api.folder / "said.json").write_text(json.dumps(said))
    program = api.folder / "helper.sh"
    told = api.folder / "told"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$KUBERNETES_EXEC_INFO" "$MARK" "$@" > {told}\ncat {api.folder}/said.json\n'
    )
    program.chmod(0o700)
    return {
        "exec": {"apiVersion": version, "command": "./helper.sh", "interactiveMode": "IfAvailable", **more}
    }


def asked(environ: dict[str, str], context: str | None = None) -> None:
    with closing(connect(context=context, environ=environ)) as kube:
        assert kube.identity() == UID


def told(api: TlsApi) -> list[str]:
    return (api.folder / "told").read_text().splitlines()


GOOD: dict[str, Any] = {"token": "good"}
HELPER: dict[str, Any] = {"apiVersion": V1, "command": "x", "interactiveMode": "Never"}
PEM = "-----BEGIN {0}-----\nQUJD\n-----END {0}-----\n"
NAMED = "# Főtanúsítvány\n"
"""The name of an authority, as bundles of Red Hat's have it above each certificate."""
HONOURED: dict[str, Callable[[TlsApi], object]] = {}


def honours(*fields: str) -> Callable[[Callable[[TlsApi], object]], Callable[[TlsApi], object]]:
    def note(check: Callable[[TlsApi], object]) -> Callable[[TlsApi], object]:
        HONOURED.update(dict.fromkeys(fields, check))
        return check

    return note


@honours(
    "context.cluster", "context.user", "cluster.server", "user.token", "cluster.certificate-authority-data"
)
def plain(api: TlsApi) -> None:
    asked(written(api, GOOD))


@honours("context.namespace", "context.extensions", "user.extensions")
def what_means_nothing(api: TlsApi) -> None:
    row = [{"name": "x", "extension": {"a": 1}}]
    asked(written(api, {**GOOD, "extensions": row}, context={"namespace": "ns", "extensions": row}))


@honours("cluster.tls-server-name")
def another_name(api: TlsApi) -> None:
    with tls_api(api.folder, "api.internal") as other:
        asked(written(other, GOOD, {"tls-server-name": "api.internal"}))
        with pytest.raises(PreconditionError, match="TLS to the Kubernetes API"):
            asked(written(other, GOOD))


@honours("cluster.insecure-skip-tls-verify")
def unverified(api: TlsApi) -> None:
    nobody = {"certificate-authority-data": None}
    with pytest.raises(PreconditionError, match="certificate verify failed"):
        asked(written(api, GOOD, nobody))
    asked(written(api, GOOD, {**nobody, "insecure-skip-tls-verify": True}))


@honours("cluster.certificate-authority")
def authority_file(api: TlsApi) -> None:
    (api.folder / "ca.pem").write_text(api.ca)
    asked(written(api, GOOD, {"certificate-authority-data": None, "certificate-authority": "ca.pem"}))


@honours("cluster.proxy-url")
def proxied(api: TlsApi) -> None:
    with http_proxy() as proxy:
        asked(written(api, GOOD, {"proxy-url": proxy.url}))
        assert proxy.requests


@honours("cluster.disable-compression")
def uncompressed(api: TlsApi) -> None:
    asked(written(api, GOOD))
    asked(written(api, GOOD, {"disable-compression": True}))
    first, second = (row["accept-encoding"] for row in api.seen)
    assert "gzip" in first[0]
    assert second == ["identity"]


@honours("user.client-certificate", "user.client-key")
def certificate_files(api: TlsApi) -> None:
    certificate, key = api.client("somebody")
    (api.folder / "cert.pem").write_text(certificate)
    (api.folder / "key.pem").write_text(key)
    api.accepts = {"somebody"}
    asked(written(api, {"client-certificate": "cert.pem", "client-key": "key.pem"}))


@honours("user.client-certificate-data", "user.client-key-data")
def certificate_data(api: TlsApi) -> None:
    certificate, key = api.client("somebody")
    api.accepts = {"somebody"}
    asked(written(api, {"client-certificate-data": b64(certificate), "client-key-data": b64(key)}))


@honours("user.tokenFile")
def token_file(api: TlsApi) -> None:
    file = api.folder / "token"
    file.write_text("stale\n")
    with closing(
        connect(context=None, environ=written(api, {"tokenFile": "token", "token": "never"}))
    ) as kube:
        with pytest.raises(PreconditionError, match="does not accept the login"):
            kube.identity()
        file.write_text("good\n")
        assert kube.identity() == UID


@honours("user.username", "user.password")
def basic(api: TlsApi) -> None:
    api.accepts = {b64("us:pa")}
    asked(written(api, {"username": "us", "password": "pa"}))


@honours("user.as", "user.as-groups")
def impersonation(api: TlsApi) -> None:
    asked(written(api, {**GOOD, "as": "ann", "as-groups": ["a", "b"]}))
    assert api.seen[0]["impersonate-user"] == ["ann"]
    assert api.seen[0]["impersonate-group"] == ["a", "b"]


@honours("user.exec", "exec.apiVersion", "exec.command", "exec.interactiveMode", "status.token")
def by_helper(api: TlsApi) -> None:
    asked(written(api, helper(api)))
    assert json.loads(told(api)[0]) == {
        "apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}
    }  # fmt: skip


@honours("exec.args", "exec.env")
def with_arguments(api: TlsApi) -> None:
    asked(written(api, helper(api, args=["one", "t w o"], env=[{"name": "MARK", "value": "seen"}])))
    assert told(api)[1:] == ["seen", "one", "t w o"]


@honours("exec.installHint")
def absent_with_a_hint(api: TlsApi) -> None:
    user = helper(api, installHint="get it from there")
    user["exec"]["command"] = "a-login-helper-that-is-not-there"
    with pytest.raises(PreconditionError, match="a-login-helper-that-is-not-there is not there") as found:
        asked(written(api, user))
    assert found.value.remedy == "get it from there"


@honours("exec.provideClusterInfo", "cluster.extensions")
def with_the_cluster(api: TlsApi) -> None:
    row = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    asked(written(api, helper(api, provideClusterInfo=True), {"extensions": [row]}))
    assert json.loads(told(api)[0])["spec"]["cluster"] == {
        "server": api.url, "certificate-authority-data": b64(api.ca), "config": {"audience": "x"}
    }  # fmt: skip


@honours("status.clientCertificateData", "status.clientKeyData")
def certificate_of_a_helper(api: TlsApi) -> None:
    certificate, key = api.client("somebody")
    api.accepts = {"somebody"}
    asked(written(api, helper(api, {"clientCertificateData": certificate, "clientKeyData": key}, MARK=None)))
    assert api.seen[-1]["certificate"] == "somebody"


@honours("status.expirationTimestamp")
def that_expires(api: TlsApi) -> None:
    api.accepts = {"one", "two"}
    environ = written(api, helper(api, {"token": "one", "expirationTimestamp": "2020-01-01T00:00:00Z"}))
    with closing(connect(context=None, environ=environ)) as kube:
        kube.identity()
        helper(api, {"token": "two", "expirationTimestamp": "2999-01-01T00:00:00Z"})
        kube.identity()
        helper(api, {"token": "three"})
        kube.identity()
    assert [row["authorization"] for row in api.seen] == [["Bearer one"], ["Bearer two"], ["Bearer two"]]


@pytest.mark.parametrize("field", [name for name, fate in FATES.items() if isinstance(fate, Honoured)])
def test_each_field_that_is_honoured_is_seen_to_be(api: TlsApi, field: str) -> None:
    HONOURED[field](api)


REFUSED: dict[str, Any] = {
    "user.as-uid": {**GOOD, "as": "ann", "as-uid": "1"},
    "user.as-user-extra": {**GOOD, "as": "ann", "as-user-extra": {"a": ["b"]}},
    "user.auth-provider": {"auth-provider": {"name": "oidc", "config": {}}},
}


@pytest.mark.parametrize("field", [name for name, fate in FATES.items() if isinstance(fate, Refused)])
def test_each_field_that_is_not_is_refused_by_name_with_file_context_and_remedy(
    api: TlsApi, field: str
) -> None:
    with pytest.raises(PreconditionError) as found:
        asked(written(api, REFUSED[field]))
    assert found.value.what.startswith(f"{api.folder}/config.yaml, context 'here': {field} ")
    assert found.value.remedy
    assert not api.seen


@pytest.mark.parametrize("version", EXEC_VERSIONS)
def test_versions_of_helpers(api: TlsApi, version: str) -> None:
    environ = written(api, helper(api, version=version))
    if isinstance(EXEC_VERSIONS[version], Honoured):
        asked(environ)
    else:
        with pytest.raises(PreconditionError, match=r"exec\.apiVersion .*v1alpha1' is not supported"):
            asked(environ)


@pytest.mark.parametrize(
    ("user", "cluster", "words"),
    [
        (GOOD, {"certificate-authority-data": "not base64!!"}, "certificate-authority-data is not PEM in base64"),
        (GOOD, {"certificate-authority-data": b64("hello")}, "certificate-authority-data holds no certificate"),
        (GOOD, {"certificate-authority-data": b64(PEM.format("CERTIFICATE"))}, "certificate-authority holds no certificate"),
        (GOOD, {"certificate-authority-data": None, "certificate-authority": "absent.pem"}, "absent.pem cannot be read"),
        (GOOD, {"server": "ftp://x"}, "cluster.server is no http"),
        (GOOD, {"server": " https://x"}, "cluster.server is no http"),
        (GOOD, {"server": "https://x\ny"}, "cluster.server is no http"),
        (GOOD, {"server": "https://u:PLANTED@x"}, "cluster.server has a user or a password in it"),
        (GOOD, {"server": "https://PLANTED@x/y"}, "cluster.server has a user or a password in it"),
        (GOOD, {"server": "https://u:PLAN/TED@x"}, "cluster.server is no http"),
        (GOOD, {"server": "https://a..b"}, "cluster.server is no http"),
        (GOOD, {"server": f"https://{'x' * 64}.y"}, "cluster.server is no http"),
        (GOOD, {"server": f"https://x/{'y' * 70_000}"}, "cluster.server, or the proxy on the way to it"),
        (GOOD, {"proxy-url": "http://p q:1"}, "cluster.proxy-url is no http"),
        (GOOD, {"certificate-authority-data": None, "certificate-authority": "a\0b"}, "certificate-authority holds a character that cannot"),
        (GOOD, {"tls-server-name": "a..b"}, "cluster.tls-server-name is no name of a server"),
        (GOOD, {"tls-server-name": ".a"}, "cluster.tls-server-name is no name of a server"),
        (GOOD, {"tls-server-name": "a b"}, "cluster.tls-server-name is no name of a server"),
        ({**GOOD, "as": "ärger"}, {}, "user.as holds a character that is not ASCII"),
        ({**GOOD, "as": "a\nb"}, {}, "user.as holds a line break"),
        ({**GOOD, "as": " a"}, {}, "user.as holds white space around it"),
        ({**GOOD, "as": "a", "as-groups": ["ä"]}, {}, "user.as-groups holds a character that is not ASCII"),
        ({**GOOD, "as": "a", "as-groups": ["a,b"]}, {}, "user.as-groups holds an empty group or one with a comma"),
        ({**GOOD, "as": "a", "as-groups": [""]}, {}, "user.as-groups holds an empty group"),
        ({"token": "PLAN\nTED"}, {}, "user.token holds a line break"),
        ({"token": "PLANTEDä"}, {}, "user.token holds a character that is not ASCII"),
        ({"username": "a:b", "password": "p"}, {}, "user.username holds a colon"),
        ({"username": "a", "password": "PLANTEDä"}, {}, "user.password holds more than ASCII"),
        ({"username": "a", "password": "PLANTED\ud800"}, {}, "user.password holds a character that cannot"),
        ({"exec": {**HELPER, "env": [{"name": "A=B", "value": "PLANTED"}]}}, {}, "exec.env has a name that is empty or has ="),
        ({"exec": {**HELPER, "env": [{"name": "A", "value": "PLANTED\0"}]}}, {}, "exec.env .*a value with a NUL"),
        ({"exec": {**HELPER, "env": [{"name": "A\0"}]}}, {}, "exec.env has a name"),
        ({"exec": {**HELPER, "args": ["a\0"]}}, {}, "exec.args holds a character that cannot"),
        ({"exec": {**HELPER, "command": "a\0"}}, {}, "exec.command holds a character that cannot"),
        (GOOD, {"server": None}, "cluster.server is missing"),
        (GOOD, {"server": 5}, "cluster.server is no text"),
        (GOOD, {"proxy-url": "socks5://p:1"}, "cluster.proxy-url is no http"),
        (GOOD, {"insecure-skip-tls-verify": True}, "contradicts certificate-authority"),
        (GOOD, {"insecure-skip-tls-verify": "yes"}, "neither true nor false"),
        ({"tokenFile": "."}, {}, "user.tokenFile .* cannot be read: Is a directory"),
        ({"tokenFile": "absent"}, {}, "user.tokenFile .*absent cannot be read: No such file"),
        ({"client-certificate-data": b64("x")}, {}, "user.client-certificate-data holds no certificate or key in PEM"),
        ({"client-certificate-data": b64(PEM.format("CERTIFICATE"))}, {}, "user.client-key is missing"),
        ({"client-certificate-data": b64(PEM.format("CERTIFICATE")), "client-key-data": b64(PEM.format("PRIVATE KEY"))}, {}, "they are not PEM"),
        ({**GOOD, "username": "u"}, {}, "only one login"),
        ({**GOOD, "as-groups": ["g"]}, {}, "stands without as"),
        ({"exec": {"apiVersion": V1, "command": "x"}}, {}, "exec.interactiveMode is missing"),
        ({"exec": {"apiVersion": V1, "command": "x", "interactiveMode": "Always"}}, {}, "would need a terminal"),
        ({"exec": {"apiVersion": V1, "interactiveMode": "Never"}}, {}, "exec.command is missing"),
        ({"exec": {"apiVersion": V1, "command": "x", "interactiveMode": "Never", "args": 1}}, {}, "exec.args"),
        ({"exec": {"apiVersion": V1, "command": "x", "interactiveMode": "Never", "env": [1]}}, {}, "exec.env"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_its_file_and_context(
    api: TlsApi, user: dict[str, Any], cluster: dict[str, Any], words: str
) -> None:
    with pytest.raises(PreconditionError, match=words) as found:
        asked(written(api, user, cluster))
    assert "config.yaml, context 'here'" in found.value.what
    assert found.value.remedy
    assert not re.search("PLAN|TED", f"{found.value} {found.value.__cause__!r}")


@pytest.mark.parametrize(
    ("content", "words"), [(b"PLAN\nTED", "a line break"), (b"PLANTED\xff", "no UTF-8"), (b"\n", "nothing")]
)
def test_a_file_that_holds_no_token_is_named_and_not_shown(api: TlsApi, content: bytes, words: str) -> None:
    (api.folder / "t").write_bytes(content)
    with pytest.raises(PreconditionError, match=f"tokenFile {api.folder}/t is no token: .*{words}") as found:
        asked(written(api, {"tokenFile": "t"}))
    assert not re.search("PLAN|TED", str(found.value))


@pytest.mark.parametrize("name", ["First Last", "system:serviceaccount:a:b", "a@b.example"])
def test_names_that_a_header_carries_are_passed_on(api: TlsApi, name: str) -> None:
    asked(written(api, {**GOOD, "as": name, "as-groups": [name]}))
    assert api.seen[0]["impersonate-user"] == api.seen[0]["impersonate-group"] == [name]


@pytest.mark.parametrize("config", [dt.date(2020, 1, 1), float("nan"), {1: "a", "b": 2}])
def test_what_a_helper_cannot_be_told_in_json_is_refused_by_the_field(api: TlsApi, config: object) -> None:
    row = {"name": "client.authentication.k8s.io/exec", "extension": config}
    with pytest.raises(PreconditionError, match=r"cluster\.extensions holds what JSON cannot say"):
        asked(written(api, helper(api, provideClusterInfo=True), {"extensions": [row]}))


@pytest.mark.parametrize("comment", [NAMED.encode(), NAMED.encode("iso8859-2")], ids=["UTF-8", "Latin 2"])
def test_between_certificates_any_words_may_stand(api: TlsApi, comment: bytes) -> None:
    certificate, key = api.client("somebody")
    files = {"ca.pem": api.ca, "cert.pem": certificate, "key.pem": key}
    for name, text in files.items():
        (api.folder / name).write_bytes(comment + text.encode())
    api.accepts = {"somebody"}
    own = {"client-certificate": "cert.pem", "client-key": "key.pem"}
    asked(written(api, own, {"certificate-authority-data": None, "certificate-authority": "ca.pem"}))
    lines = base64.encodebytes(comment + api.ca.encode()).decode()
    environ = written(api, own, {"certificate-authority-data": lines})
    asked(environ)
    document = kubeconfig(None, environ).document["clusters"][0]["cluster"]
    assert base64.b64decode(document["certificate-authority-data"]).decode() == api.ca


def test_a_context_without_a_user_is_anonymous_and_entries_of_null_are_passed_over(api: TlsApi) -> None:
    environ = written(api, GOOD)
    file = Path(environ["KUBECONFIG"])
    document = yaml.safe_load(file.read_text())
    del document["contexts"][0]["context"]["user"]
    document["clusters"].append(None)
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(PreconditionError, match="does not accept the login"):
        asked(environ)


@pytest.mark.parametrize("name", ["ns/api-ocp-example-com:6443/First Last", "it's: odd #1", "ärger/ü"])
def test_names_as_oc_login_makes_them(api: TlsApi, name: str) -> None:
    environ = written(api, GOOD)
    file = Path(environ["KUBECONFIG"])
    document = yaml.safe_load(file.read_text())
    document["contexts"][0]["name"] = name
    document["contexts"][0]["context"]["user"] = document["users"][0]["name"] = f"{name}/api:6443"
    file.write_text(yaml.safe_dump(document))
    asked(environ, name)


def test_files_are_merged_the_first_wins_and_empty_ones_and_entries_count_for_nothing(
    api: TlsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(written(api, GOOD)["KUBECONFIG"])
    (api.folder / "below").mkdir()
    (api.folder / "empty.yaml").write_text("")
    (api.folder / "below" / "first.yaml").write_text(
        yaml.safe_dump({"current-context": "here", "users": [{"name": "u", "user": {"tokenFile": "t"}}]})
    )
    (api.folder / "below" / "t").write_text("good")
    monkeypatch.chdir(api.folder)
    asked({"KUBECONFIG": f":empty.yaml:absent.yaml::below/first.yaml:{file.name}"})
    found = kubeconfig(None, {"KUBECONFIG": f"below/first.yaml:{file.name}"})
    assert found.token_file == api.folder / "below" / "t"


def test_an_address_of_ipv6_is_kept_whole(api: TlsApi) -> None:
    assert (
        kubeconfig(None, written(api, GOOD, {"server": "https://[fd00::1]:6443"})).server
        == "https://[fd00::1]:6443"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "clusters: 5",
        "contexts: [5]",
        "users: [{name: u, user: 5}]",
        "a: [",
        "\x00",
        "\xff",
        "token: 2020-99-99",
        "token: 0x_",
        "token: !!int ''",
        "token: !!bool PLANTED",
        "token: !!timestamp PLANTED",
        "[" * 600 + "]" * 600,
    ],
    ids=range(13),
)
def test_what_is_no_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "c").write_bytes(text.encode("latin-1"))
    with pytest.raises(PreconditionError) as found:
        kubeconfig(None, {"KUBECONFIG": str(tmp_path / "c")})
    assert str(tmp_path / "c") in found.value.what
    assert "PLANTED" not in "".join(traceback.format_exception(found.value))


AS_SOMEBODY_ELSE = """
import json, os, sys
from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.client import connect
from weighbridge.provider.clusters import Connection, open_kube
import weighbridge.permissions
"x".encode("idna")  # what is imported later may lie where only root gets to
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
for variables in json.loads(sys.argv[1]):
    os.environ.pop("KUBECONFIG", None)
    os.environ.pop("HOME", None)
    os.environ.update(variables)
    for meet in (lambda: connect(context=None), lambda: open_kube(Connection(None))):
        try:
            meet()
        except PreconditionError as error:
            print(error.what)
"""
"""A user without a name, as in a pod of OpenShift's; folders are closed to it, as they never are to root."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_whoever_may_read_nothing_and_has_no_home_is_told_so() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        Path(folder).chmod(0o755)
        closed = Path(folder) / "closed"
        closed.mkdir()
        (closed / "token").write_text("t")
        closed.chmod(0o700)
        document = {
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": "https://x"}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"tokenFile": str(closed / "token")}}],
        }
        named = Path(folder) / "named"
        named.write_text(yaml.safe_dump(document))
        expected = {
            f"{closed}/config cannot be read: Permission denied": {"KUBECONFIG": f"{closed}/config"},
            f"{closed}/.kube/config cannot be read: Permission denied": {"HOME": str(closed)},
            f"there is no kubeconfig: {Path.cwd()}/~/.kube/config does not exist": {},
            f"there is no kubeconfig: {Path.cwd()}/~nobody-here/x does not exist": {
                "KUBECONFIG": "~nobody-here/x"
            },
            f"user.tokenFile {closed}/token cannot be read: Permission denied": {"KUBECONFIG": str(named)},
        }
        ran = subprocess.run(
            [sys.executable, "-c", AS_SOMEBODY_ELSE, json.dumps(list(expected.values()))],
            env={"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    for words, line in zip(
        [words for words in expected for _ in range(2)], ran.stdout.splitlines(), strict=True
    ):
        assert words in line


def test_a_path_that_no_system_takes_is_named(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="cannot be read: File name too long"):
        kubeconfig(None, {"KUBECONFIG": str(tmp_path / ("x" * 300))})


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ("token: PLANTEDTOKEN: x", 3),
        ("token: *PLANTEDTOKEN", 3),
        ("token: !PLANTEDTOKEN x", 3),
        ('token: "PLANTEDTOKEN\\q"', 3),
        ("token: [PLANTEDTOKEN", 4),
        ("PLANTEDTOKEN: 5\n   token: x", 4),
    ],
)
def test_what_is_no_yaml_is_told_by_its_line_and_none_of_its_text(
    tmp_path: Path, broken: str, line: int
) -> None:
    """A token stands in a kubeconfig, and PyYAML quotes the line that it does not understand."""
    file = tmp_path / "c"
    file.write_text(f"users:\n- user:\n    {broken}\n")
    with pytest.raises(PreconditionError, match=f"{file} cannot be read: line {line}: ") as found:
        kubeconfig(None, {"KUBECONFIG": str(file)})
    everything = "".join(traceback.format_exception(found.value))
    assert "PLANTED" not in f"{found.value} {everything} {found.value.__context__!r}"


def test_the_pods_own_account(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(PreconditionError, match="no service account token"):
        service_account(environ, tmp_path)
    for name in ("ca.crt", "token"):
        (tmp_path / name).write_text("x")
    with pytest.raises(PreconditionError, match=r"ca\.crt holds no certificate in PEM"):
        service_account(environ, tmp_path)
    (tmp_path / "ca.crt").write_text(NAMED + PEM.format("CERTIFICATE"), encoding="utf-8")
    found = service_account(environ, tmp_path)
    assert (found.server, found.ca) == ("https://[fd00::1]:443", PEM.format("CERTIFICATE"))
    with pytest.raises(PreconditionError, match="no service account token"):
        service_account({}, tmp_path)


def test_no_key_is_written_anywhere(api: TlsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder for temporary files is one that cannot be written to."""
    bare = api.folder / "bare"
    bare.mkdir()
    bare.chmod(stat.S_IRUSR)
    monkeypatch.setattr("tempfile.tempdir", str(api.folder / "absent"))
    certificate_data(api)
