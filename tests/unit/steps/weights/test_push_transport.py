"""Ways to the pod, over a stand-in for kubectl that says what kubectl 1.34 says."""

import os
import time
from pathlib import Path

import pytest

from weighbridge.errors import StepFailedError
from weighbridge.steps.weights.push.daemon import ROOT as POD_ROOT
from weighbridge.steps.weights.push.manifest import Manner
from weighbridge.steps.weights.push.rsync import Rsync, Target
from weighbridge.steps.weights.push.transport import (
    ExecStream,
    PodGoneError,
    PortForward,
    RsyncPod,
    TransportRefusedError,
)

POD = RsyncPod("wb-test-m-rsync", "models", context="here", proxy="http://proxy:3128")
FORBIDDEN = (
    'error: error upgrading connection: pods "wb-test-m-rsync" is forbidden: User "u" cannot create resource '
    '"pods/portforward" in API group "" in the namespace "models"'
)


def kubectl(folder: Path, script: str) -> str:
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{script}\n')
    program.chmod(0o755)
    return str(program)


def forward(tmp_path: Path, script: str) -> PortForward:
    return PortForward(POD, "MADE-FOR-THIS-POD", tmp_path / "log", kubectl(tmp_path, script))


def soon() -> float:
    return time.monotonic() + 5


def test_the_local_port_is_read_from_what_kubectl_says_and_a_dead_one_is_started_again(
    tmp_path: Path,
) -> None:
    transport = forward(
        tmp_path,
        'echo "Forwarding from 127.0.0.1:$((40000 + $(wc -l < '
        + str(tmp_path)
        + '/asked))) -> 8730"; exec sleep 60',
    )
    assert transport.target(soon()).staging == "rsync://weighbridge@127.0.0.1:40001/staging/"
    assert transport.target(soon()).receipts == "rsync://weighbridge@127.0.0.1:40001/receipts/"
    transport.reset()
    assert transport.target(soon()).staging == "rsync://weighbridge@127.0.0.1:40002/staging/"
    assert transport.target(soon()).env["RSYNC_PASSWORD"] == "MADE-FOR-THIS-POD"
    transport.close()
    asked = (tmp_path / "asked").read_text().splitlines()
    assert "MADE-FOR" not in " ".join(asked)
    assert (
        asked[0]
        == "--namespace=models --context=here port-forward --address=127.0.0.1 pod/wb-test-m-rsync :8730"
    )


def test_a_forbidden_port_forward_is_a_refusal_that_names_the_permission(tmp_path: Path) -> None:
    with pytest.raises(TransportRefusedError, match="pods/portforward in models"):
        forward(tmp_path, f"echo '{FORBIDDEN}' >&2; exit 1").target(soon())


def test_a_pod_that_is_gone_ends_the_push(tmp_path: Path) -> None:
    with pytest.raises(PodGoneError, match="NotFound"):
        forward(tmp_path, "echo 'Error from server (NotFound): pods \"x\" not found' >&2; exit 1").target(
            soon()
        )


def test_an_api_server_that_is_away_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError) as failed:
        forward(
            tmp_path, "echo 'The connection to the server 127.0.0.1:6443 was refused' >&2; exit 1"
        ).target(soon())
    assert failed.value.transient
    assert not isinstance(failed.value, PodGoneError)


def test_a_kubectl_that_says_nothing_is_not_waited_for_beyond_the_deadline(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(StepFailedError):
        forward(tmp_path, "exec sleep 60").target(time.monotonic() + 0.5)
    assert time.monotonic() - started < 3


def test_the_exec_stream_judges_what_kubectl_said_through_rsync(tmp_path: Path) -> None:
    transport = ExecStream(POD, kubectl(tmp_path, "exit 0"))
    transport.judge("rsync: connection unexpectedly closed")
    with pytest.raises(TransportRefusedError, match="pods/exec"):
        transport.judge(
            'Error from server (Forbidden): pods "x" is forbidden: User "u" cannot create resource "pods/exec"\nrsync error: code 12'
        )


def test_the_exec_stream_carries_rsync_to_a_remote_half_without_quoting_trouble(tmp_path: Path) -> None:
    """The stand-in runs the remote half here, as the pod's shell would."""
    transport = ExecStream(POD, kubectl(tmp_path, 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'))
    volume, tree, name = tmp_path / "volume", tmp_path / "tree", "a b/c'd [1]$HOME"
    (volume / "staging").mkdir(parents=True)
    (tree / name).parent.mkdir(parents=True)
    (tree / name).write_bytes(os.urandom(100_000))
    target = transport.target(soon())
    local = Target(target.options, target.staging.replace(POD_ROOT, str(volume)), "", target.env)
    Rsync(10).send(local, tree, [name], Manner.WHOLE, deadline=soon() + 20)
    assert (volume / "staging" / name).read_bytes() == (tree / name).read_bytes()
    assert (volume / "staging" / name).stat().st_mode & 0o777 == 0o664
    asked = (tmp_path / "asked").read_text()
    assert "--context=here --namespace=models exec -i wb-test-m-rsync -c rsync -- /bin/sh -c" in asked
