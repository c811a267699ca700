"""Refusals: each says what is lacking, and what to do instead."""

import pytest

from weighbridge_sandbox.debian import NEEDED, missing
from weighbridge_sandbox.errors import CannotRunHereError
from weighbridge_sandbox.network import clashing_route
from weighbridge_sandbox.preflight import Machine, basic_reasons, controllers, trial_reasons

GIB = 2**30
FIT = {
    "system": "Linux",
    "architecture": "x86_64",
    "user_id": 0,
    "kernel": (6, 1),
    "controllers": frozenset({"cpu", "memory", "pids"}),
    "free": 20 * GIB,
    "home_length": 40,
    "trials": {},
}


def reasons(**changed: object) -> str:
    return "\n".join(basic_reasons(Machine(**{**FIT, **changed}), 8 * GIB))  # type: ignore[arg-type]


def test_a_fit_machine_is_not_refused() -> None:
    assert reasons() == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"system": "Darwin"}, "needs Linux and this is Darwin"),
        ({"architecture": "aarch64"}, "made for x86_64 and this machine is aarch64"),
        ({"user_id": 1000}, "needs root"),
        ({"kernel": (3, 10)}, "the kernel is 3.10 and 4.18 is the oldest"),
        ({"controllers": frozenset({"cpu"})}, "no cgroup controller for memory, pids"),
        ({"free": GIB}, "1.0 GiB free and 8 GiB are needed"),
        ({"home_length": 100}, "set WEIGHBRIDGE_SANDBOX_HOME to a shorter one"),
    ],
)
def test_each_lack_is_named(changed: dict[str, object], said: str) -> None:
    assert said in reasons(**changed)


def test_all_lacks_are_named_at_once() -> None:
    assert len(reasons(user_id=1000, free=0).splitlines()) == 2


def test_elsewhere_than_linux_nothing_else_matters() -> None:
    assert len(reasons(system="Darwin", user_id=1000, free=0).splitlines()) == 1


def test_only_failed_trials_are_reasons() -> None:
    assert trial_reasons({"loop devices": "", "network bridges": "Operation not permitted"}) == (
        "the kernel or its permissions offer no network bridges (Operation not permitted)",
    )


def test_a_refusal_says_what_to_do_instead() -> None:
    error = CannotRunHereError(["it needs Linux"])
    assert "it needs Linux" in str(error)
    assert "KUBECONFIG" in error.advice
    assert "S3 endpoint" in error.advice
    assert error.exit_code == 3


def test_controllers_of_both_cgroup_versions_count() -> None:
    first = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t4\t8\t0\n"
    assert controllers(first, "") == {"cpu"}
    assert controllers("", "cpuset cpu memory pids\n") == {"cpuset", "cpu", "memory", "pids"}


def test_a_route_to_our_subnet_over_another_device_clashes() -> None:
    other = (
        "default via 192.0.2.1 dev eth0\n10.213.77.0/24 dev docker7 proto kernel scope link src 10.213.77.9\n"
    )
    assert "docker7" in (clashing_route(other) or "")
    assert clashing_route(other.replace("docker7", "wbsbx0")) is None
    assert clashing_route("default via 192.0.2.1 dev eth0\n10.213.7.0/24 dev eth1\n") is None


def test_missing_packages_are_named_and_present_ones_are_not() -> None:
    assert missing(lambda _proof: True) == ()
    assert missing(lambda proof: proof != "containerd") == ("containerd",)
    assert missing(lambda _proof: False) == tuple(NEEDED)
