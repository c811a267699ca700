"""The table of what children get of our environment."""

from pathlib import Path

import pytest

from weighbridge.mover.proxies import ProxySettings
from weighbridge.processes.variables import (
    RULES,
    Child,
    Outside,
    Verdict,
    absolute_kubeconfig,
    variables_for,
    verdict,
)

AMBIENT = {
    "PATH": "/bin",
    "HOME": "/home/u",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C",
    "LC_TIME": "xx_YY",
    "HTTPS_PROXY": "http://p:1",
    "NO_PROXY": ".svc,::1",
    "SSL_CERT_FILE": "/ca.pem",
    "SSL_CERT_DIR": "/cas",
    "XDG_CONFIG_HOME": "/x",
    "KUBECONFIG": "kc/one::two",
    "AWS_PROFILE": "login",
    "AWS_CONFIG_FILE": "/assume",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/t",
    "AWS_ENDPOINT_URL_S3": "http://elsewhere",
    "AWS_MAX_ATTEMPTS": "abc",
    "AWS_CA_BUNDLE": "/nonexistent.pem",
    "GOOGLE_APPLICATION_CREDENTIALS": "/g",
    "HUNT_CLIENT_SECRET": "h",
    "PULUMI_BACKEND_URL": "file:///nope",
    "ANSIBLE_STRATEGY": "mitogen_linear",
    "K8S_AUTH_HOST": "https://192.0.2.1",
    "RSYNC_PASSWORD": "r",
    "WEIGHBRIDGE_EVENTS": "w",
    "PYTHONPATH": "/nope",
    "GITHUB_TOKEN": "g",
    "STATE_SECRET": "planted",
}
OUTSIDE = Outside(withheld=frozenset({"STATE_SECRET"}))
CHILDREN = sorted(Child, key=lambda child: child.name)


def got(child: Child, *, own_identity: bool = False) -> dict[str, str]:
    return variables_for(child, OUTSIDE, AMBIENT, own_identity=own_identity)


@pytest.mark.parametrize("child", CHILDREN)
def test_nobody_gets_secrets_of_the_environment_file_or_what_would_steer_our_tools(child: Child) -> None:
    names = {
        "STATE_SECRET", "PULUMI_BACKEND_URL", "ANSIBLE_STRATEGY", "K8S_AUTH_HOST", "RSYNC_PASSWORD", "WEIGHBRIDGE_EVENTS",
    }  # fmt: skip
    assert not names & got(child).keys()
    assert got(child)["PATH"] == "/bin"


@pytest.mark.parametrize("child", [Child.PULUMI, Child.ANSIBLE, Child.KUBECTL, Child.HELPER])
def test_whoever_dials_gets_one_network(child: Child) -> None:
    found = got(child)
    assert found["HTTPS_PROXY"] == found["https_proxy"] == "http://p:1"
    assert found["NO_PROXY"] == found["no_proxy"] == "svc,::1"
    assert (found["SSL_CERT_FILE"], found["SSL_CERT_DIR"]) == ("/ca.pem", "/cas")
    assert found["XDG_CONFIG_HOME"] == "/x"
    assert found["KUBECONFIG"] == f"{Path.cwd()}/kc/one:{Path.cwd()}/two"


def test_programs_get_no_more_than_they_need_and_helpers_what_a_shell_would_give_them() -> None:
    for_helpers = {
        "AWS_PROFILE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "HUNT_CLIENT_SECRET",
        "AWS_CA_BUNDLE",
        "GITHUB_TOKEN",
    }
    assert for_helpers <= got(Child.HELPER).keys()
    for child in (Child.ANSIBLE, Child.KUBECTL, Child.RSYNC, Child.TOOL):
        assert not for_helpers & got(child).keys()
    assert for_helpers & got(Child.PULUMI).keys() == {"AWS_PROFILE"}


@pytest.mark.parametrize("child", [Child.RSYNC, Child.TOOL])
def test_what_does_not_dial_gets_no_way_out(child: Child) -> None:
    assert got(child).keys() == {"PATH", "HOME", "LC_ALL"}


@pytest.mark.parametrize("child", CHILDREN)
def test_no_locale_that_may_be_absent_reaches_a_program_of_ours(child: Child) -> None:
    found = {name: value for name, value in got(child).items() if name.startswith(("LC_", "LANG"))}
    if child is Child.HELPER:
        assert found == {"LANG": "de_DE.UTF-8", "LC_ALL": "C", "LC_TIME": "xx_YY"}
    else:
        assert found.keys() == {"LC_ALL"}
        assert found["LC_ALL"] in {"C", "C.UTF-8"}


def test_no_ambient_identity_comes_before_the_keys_of_the_state() -> None:
    assert {name for name in got(Child.PULUMI) if name.startswith("AWS_")} == {
        "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
    }  # fmt: skip
    found = got(Child.PULUMI, own_identity=True)
    assert {name: value for name, value in found.items() if name.startswith("AWS_")} == {
        "AWS_CONFIG_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


def test_a_proxy_of_the_file_replaces_all_of_the_environments() -> None:
    outside = Outside(proxy=ProxySettings(http="http://q:1", no_proxy=(), alone=True))
    found = variables_for(Child.KUBECTL, outside, AMBIENT)
    assert {name: value for name, value in found.items() if name.lower().endswith("_proxy")} == {
        "http_proxy": "http://q:1", "HTTP_PROXY": "http://q:1",
    }  # fmt: skip


def test_every_rule_says_why_and_every_case_is_decided() -> None:
    assert all(rule.why and rule.whom and rule.names for rule in RULES)
    assert {verdict(child, "ANY_THING") for child in Child} == {Verdict.ALLOW, Verdict.WITHHOLD}


def test_entries_that_are_empty_are_left_out() -> None:
    assert absolute_kubeconfig("::/a::") == "/a"
