"""Proxies and trust have one meaning in every program that dials: our client, boto, the mover, and what kubectl, Ansible and
Pulumi are given.
"""

import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest
import trustme
import yaml

from support.environment_texts import mutated
from support.go_proxies import go_proxy
from support.http_proxy import http_proxy
from support.tls_api import UID, tls_api
from weighbridge import trust
from weighbridge.environment import url_rules
from weighbridge.environment.types import Proxy
from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.client import connect
from weighbridge.kubernetes.connection import proxy_to
from weighbridge.kubernetes.kubeconfig import Chosen
from weighbridge.kubernetes.kubeconfig_given import playbook_surroundings, write_trust
from weighbridge.mover.proxies import ProxySettings, chosen_proxy, proxy_for
from weighbridge.processes.variables import Child, Outside, variables_for
from weighbridge.s3.client import proxies_for, trusted_file
from weighbridge.wiring import opened

PROXY = "http://proxy.example.com:3128"
TABLE: tuple[tuple[str, str, bool], ...] = (
    # an entry of no_proxy, a URL, whether it is reached directly
    ("*", "https://anything.example.com", True),
    ("example.com", "https://example.com", True),
    ("example.com", "https://s3.example.com", True),
    ("example.com", "https://badexample.com", False),
    ("example.com", "https://example.com.evil.org", False),
    ("EXAMPLE.com", "https://S3.Example.COM", True),
    (".example.com", "https://s3.example.com", True),
    (".example.com", "https://example.com", True),
    (".example.com", "https://badexample.com", False),
    ("*.example.com", "https://s3.example.com", True),
    ("*.example.com", "https://badexample.com", False),
    (".svc", "https://kubernetes.default.svc", True),
    ("s3.example.com", "https://example.com", False),
    ("api.example.com:6443", "https://api.example.com:6443", True),
    ("api.example.com:6443", "https://api.example.com", False),
    ("api.example.com:443", "https://api.example.com", True),
    ("api.example.com:80", "http://api.example.com", True),
    (".example.com:6443", "https://api.example.com:6443", True),
    ("10.0.0.5", "https://10.0.0.5:6443", True),
    ("10.0.0.5", "https://10.0.0.50", False),
    ("10.0.0.5:6443", "https://10.0.0.5:6443", True),
    ("10.0.0.5:6443", "https://10.0.0.5", False),
    ("10.0.0.0/8", "https://10.213.77.1:27443", True),
    ("10.0.0.0/8", "https://11.0.0.1", False),
    ("10.1.2.3/8", "http://10.9.9.9", True),
    ("10.0.0.0/8", "https://10.example.com", False),
    ("fd00::1", "https://[fd00::1]:6443", True),
    ("[fd00::1]", "https://[fd00::1]:6443", True),
    ("[fd00::1]:6443", "https://[fd00::1]:6443", True),
    ("[fd00::1]:6443", "https://[fd00::1]", False),
    ("fd00::/8", "https://[fd12:3456::1]", True),
    ("[fd00::]/8", "https://[fd12:3456::1]", True),
    ("fd00::/8", "https://[2001:db8::1]", False),
    ("FD00:0::1", "https://[fd00::1]", True),
    ("other.example.org", "https://127.0.0.1:6443", True),
    ("other.example.org", "https://localhost:6443", True),
    ("other.example.org", "https://[::1]:6443", True),
    ("other.example.org", "https://s3.example.com", False),
)

Decides: TypeAlias = Callable[[str, ProxySettings, Mapping[str, str]], str | None]


def _client(url: str, settings: ProxySettings, environ: Mapping[str, str]) -> str | None:
    return proxy_to(Chosen(name="c", where="here", server=url), settings, environ)


def _boto(url: str, settings: ProxySettings, environ: Mapping[str, str]) -> str | None:
    wanted = (
        Proxy(http=settings.http, https=settings.https, no_proxy=settings.no_proxy or ())
        if settings.alone
        else None
    )
    return proxies_for(url, wanted, environ).get(urlsplit(url).scheme)


def _mover(url: str, settings: ProxySettings, environ: Mapping[str, str]) -> str | None:
    parts = urlsplit(url)
    found = proxy_for(parts.scheme, parts.hostname or "", settings, environ, parts.port)
    return None if found is None else f"http://{found.host}:{found.port}"


def _go(child: Child) -> Decides:
    def decides(url: str, settings: ProxySettings, environ: Mapping[str, str]) -> str | None:
        return go_proxy(url, variables_for(child, Outside(proxy=settings), environ))

    return decides


def _ansible(url: str, settings: ProxySettings, environ: Mapping[str, str]) -> str | None:
    """What our role is told, as its modules do not decide by the variables."""
    parts = urlsplit(url)
    variables = variables_for(Child.ANSIBLE, Outside(proxy=settings), environ)
    return chosen_proxy(parts.scheme, parts.hostname or "", ProxySettings(), variables, parts.port)


PROGRAMS: dict[str, Decides] = {
    "our client": _client,
    "boto": _boto,
    "the mover": _mover,
    "kubectl": _go(Child.KUBECTL),
    "Pulumi": _go(Child.PULUMI),
    "login helpers": _go(Child.HELPER),
    "Ansible": _ansible,
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("entry", "url", "direct"), TABLE)
def test_no_proxy_of_the_file_and_of_the_environment_mean_the_same_to_every_program(
    program: str, entry: str, url: str, direct: bool
) -> None:
    decides = PROGRAMS[program]
    expected = None if direct else PROXY
    misleading = {"HTTPS_PROXY": "http://other:1", "http_proxy": "http://other:1", "NO_PROXY": "*"}
    of_the_file = ProxySettings(PROXY, PROXY, ("unrelated.example.org", entry), alone=True)
    assert decides(url, of_the_file, misleading) == expected
    ambient = {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": f"unrelated.example.org, {entry}"}
    assert decides(url, ProxySettings(), ambient) == expected
    lower_first = ambient | {"no_proxy": "nothing.example.org"}
    assert decides("https://s3.example.com", ProxySettings(), lower_first) == PROXY


@pytest.mark.parametrize("entry", sorted({entry for entry, _, _ in TABLE}))
def test_what_means_something_passes_the_check(entry: str) -> None:
    assert url_rules.no_proxy(entry) == ()


@pytest.mark.parametrize(
    "entry", ["http://x", "a b", "a,b", "-x-", "10.0.0.0/33", "fd00::/129", "[x]", "x/8", "host:0", ""]
)
def test_what_means_nothing_does_not(entry: str) -> None:
    assert [found.code for found in url_rules.no_proxy(entry)] == ["bad-url"]


def test_a_proxy_behind_tls_is_refused_by_the_check_as_the_mover_cannot_use_it() -> None:
    [found] = url_rules.proxy("https://proxy.example.com:3128")
    assert "http://proxy.example.com:3128" in found.remedy


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")
@pytest.mark.parametrize(
    ("entry", "direct"), [(".example.test", True), ("example.test:443", True), ("example.test:6443", False)]
)
def test_kubectl_itself_goes_where_its_variables_say(tmp_path: Path, entry: str, direct: bool) -> None:
    with http_proxy() as proxy:
        settings = ProxySettings(https=proxy.url, no_proxy=(entry,), alone=True)
        environ = variables_for(Child.KUBECTL, Outside(proxy=settings)) | {
            "HOME": str(tmp_path),
            "KUBECONFIG": "/dev/null",
        }
        # Without a token kubectl asks for a username and never comes to its first request.
        command = ["kubectl", "--server=https://example.test", "--token=t", "--request-timeout=60"]
        asked = subprocess.run(
            [*command, "get", "--raw", "/version"],
            env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert asked.returncode == 1, asked
        assert "to the server" in asked.stderr, asked
        assert bool(proxy.requests) is not direct, asked


def test_ansibles_kubernetes_client_is_told_the_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    cluster = {"server": "https://api.example.com:6443"}
    document = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"as": "ann", "as-groups": ["a", "b"]}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    monkeypatch.setenv("KUBECONFIG", str(file))
    folder = tmp_path / "folder"
    folder.mkdir()

    def told(no_proxy: tuple[str, ...]) -> tuple[Mapping[str, str], object]:
        file.write_text(yaml.safe_dump(document))
        settings = ProxySettings(https=PROXY, no_proxy=no_proxy, alone=True)
        variables, further = playbook_surroundings(None, Outside(proxy=settings), folder, in_cluster=False)
        return variables, further["weights_api_proxy"]

    assert told(())[1] == PROXY
    variables, decided = told(("example.com",))
    assert decided == ""
    assert variables["K8S_AUTH_KUBECONFIG"] == variables["KUBECONFIG"] == str(folder / "kubeconfig.yaml")
    assert variables["K8S_AUTH_IMPERSONATE_USER"] == "ann"
    assert variables["K8S_AUTH_IMPERSONATE_GROUPS"] == "a,b"
    cluster["proxy-url"] = "http://of-the-cluster:1"
    assert told(("example.com",))[1] == "http://of-the-cluster:1"


def kubeconfig_of(folder: Path, cluster: Mapping[str, object]) -> str:
    file = folder / "kubeconfig"
    document = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": dict(cluster)}],
        "users": [{"name": "u", "user": {"token": "good"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    file.write_text(yaml.safe_dump(document))
    return str(file)


# -- trust ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """(the system's authority, the environment file's bundle of another)."""
    system, own = trustme.CA(), trustme.CA()
    system.cert_pem.write_to_path(tmp_path / "system.pem")
    own.cert_pem.write_to_path(tmp_path / "own.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("KUBECONFIG", kubeconfig_of(tmp_path, {"server": "https://api.example.com"}))
    return (tmp_path / "system.pem").read_text(), tmp_path / "own.pem"


def _of_a_child(child: Child) -> Callable[[Path | None, Path], str]:
    def file(bundle: Path | None, folder: Path) -> str:
        outside = Outside(ca_bundle=bundle)
        found = variables_for(child, outside, trusted=write_trust(folder, outside))
        return Path(found["SSL_CERT_FILE"]).read_text()

    return file


def _of_ansible(bundle: Path | None, folder: Path) -> str:
    """Its Kubernetes client reads no ``SSL_CERT_FILE``."""
    variables, _ = playbook_surroundings(None, Outside(ca_bundle=bundle), folder, in_cluster=False)
    return Path(variables["K8S_AUTH_SSL_CA_CERT"]).read_text()


def _of_boto(bundle: Path | None, _folder: Path) -> str:
    return Path(trusted_file(bundle)).read_text()


TRUST: dict[str, Callable[[Path | None, Path], str]] = {
    "boto": _of_boto,
    "kubectl": _of_a_child(Child.KUBECTL),
    "Pulumi": _of_a_child(Child.PULUMI),
    "Ansible": _of_ansible,
    "what Ansible starts": _of_a_child(Child.ANSIBLE),
    "login helpers": _of_a_child(Child.HELPER),
}


@pytest.mark.parametrize("program", TRUST)
def test_the_bundle_is_trusted_beside_the_system_s_and_without_it_the_system_s_alone(
    program: str, authorities: tuple[str, Path], tmp_path: Path
) -> None:
    system, own = authorities
    alone = TRUST[program](None, tmp_path)
    assert system.strip() in alone
    assert own.read_text().strip() not in alone
    both = TRUST[program](own, tmp_path)
    assert system.strip() in both
    assert own.read_text().strip() in both


ANSIBLES_CLIENT = """
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import _create_auth_spec, _create_configuration
from kubernetes.client import ApiClient, CoreV1Api
print(CoreV1Api(ApiClient(_create_configuration(_create_auth_spec()))).read_namespace("kube-system").metadata.uid)
"""
"""How kubernetes.core makes its client of its surroundings."""


@pytest.mark.parametrize("whose", ["the system's", "the file's", "the cluster's", "insecure"])
def test_ansible_s_own_client_reaches_what_we_reach(
    whose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    with tls_api(tmp_path) as api:
        (tmp_path / "ca.pem").write_text(api.ca)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem" if whose == "the system's" else stranger))
        cluster: dict[str, object] = {"server": api.url}
        cluster |= {"certificate-authority": "ca.pem"} if whose == "the cluster's" else {}
        cluster |= {"insecure-skip-tls-verify": True} if whose == "insecure" else {}
        monkeypatch.setenv("KUBECONFIG", kubeconfig_of(tmp_path, cluster))
        outside = Outside(ca_bundle=tmp_path / "ca.pem" if whose == "the file's" else None)
        with closing(connect(context=None, outside=outside)) as kube:
            assert kube.identity() == UID
        folder = tmp_path / "folder"
        folder.mkdir()
        variables, _ = playbook_surroundings(None, outside, folder, in_cluster=False)
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ANSIBLES_CLIENT],
            env=variables, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert ran.stdout.strip() == UID, ran.stderr


def test_our_own_connections_trust_both_too(authorities: tuple[str, Path]) -> None:
    _, own = authorities
    assert [len(trust.context(bundle).get_ca_certs()) for bundle in (None, own)] == [1, 2]


def test_no_program_is_told_to_trust_the_bundle_alone(
    authorities: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon's libraries replace all trust by ``AWS_CA_BUNDLE``: ours would break login helpers, the user's the state."""
    _, own = authorities
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    for child in Child:
        assert "AWS_CA_BUNDLE" not in variables_for(child, Outside(ca_bundle=own), trusted="/t")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/of/the/user.pem")
    assert {child for child in Child if "AWS_CA_BUNDLE" in variables_for(child)} == {Child.HELPER}


def test_a_system_that_has_a_folder_of_authorities_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    trustme.CA().cert_pem.write_to_path(folder / "one.pem")
    monkeypatch.setattr(trust, "system_bundle", lambda _environ=None: None)
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert trust.bundle_text(None).count("BEGIN CERTIFICATE") == 1
    assert Path(trust.bundle_file(None)).read_text().count("BEGIN CERTIFICATE") == 1


def test_between_certificates_any_words_may_stand(
    authorities: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bundles of Red Hat's name each authority in its own language; older files are not even UTF-8."""
    system, own = authorities
    pem = own.read_text()
    own.write_bytes("# Főtanúsítvány\n".encode() + pem.encode())
    Path(tmp_path / "system.pem").write_bytes("# Főtanúsítvány\n".encode("iso8859-2") + system.encode())
    assert trust.bundle_text(own) == system + pem
    assert len(trust.context(own).get_ca_certs()) == 2
    file = tmp_path / "environment.yaml"
    file.write_text(mutated(lambda tree: tree.update(trust={"ca_bundle": "own.pem"})))
    with opened(str(file), io.StringIO(), as_json=True, verbose=False) as environment:
        assert environment.surroundings(None).ca_pem == pem
        own.write_text("nothing\n")
    with (
        opened(str(file), io.StringIO(), as_json=True, verbose=False) as environment,
        pytest.raises(PreconditionError, match="holds no certificate in PEM"),
    ):
        environment.surroundings(None)
    folder = tmp_path / "of one each"
    folder.mkdir()
    (folder / "one.pem").write_bytes("# Főtanúsítvány\n".encode() + pem.encode())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert trust.bundle_text(None) == pem
