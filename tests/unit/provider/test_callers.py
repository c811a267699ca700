"""Our provider answers the engine that started it, and no other process of this machine."""

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc

from support.plugin import started
from weighbridge.provider.callers import is_caller

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

ASKING = """
import sys, grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc
channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
try:
    provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty(), timeout=20)
    print("answered")
except grpc.RpcError as error:
    print(error.code().name, error.details())
"""


def test_the_parent_is_answered_and_a_neighbour_is_not() -> None:
    with started() as plugin:
        with grpc.insecure_channel(f"127.0.0.1:{int(plugin.port_line)}") as channel:
            info = provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(
                empty_pb2.Empty(), timeout=20
            )
            assert info.version
        neighbour = subprocess.run(
            [sys.executable, "-c", ASKING, plugin.port_line.strip()],
            capture_output=True,
            text=True,
            check=True,
        )
    assert neighbour.stdout.startswith("PERMISSION_DENIED this provider answers the engine that started it")


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
PORT = 0x1F90
PEER = f"ipv4:127.0.0.1:{0xA8CA}"


def row(near: str, far: str, user: int, inode: int, state: str = "01") -> str:
    return f" 17: {near} {far} {state} 00000000:00000000 00:00000000 00000000  {user:4d}        0 {inode} 1 0 20 4 30 10 -1\n"


def proc_of(folder: Path, *rows: str) -> Path:
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(HEAD + "".join(rows))
    return folder


def test_another_user_s_connection_is_refused(tmp_path: Path) -> None:
    proc = proc_of(tmp_path, row("0100007F:A8CA", "0100007F:1F90", 424242, 77))
    assert not is_caller(PEER, PORT, None, proc)


@pytest.mark.parametrize("holds", [True, False])
def test_other_connections_from_the_same_port_prove_nothing(tmp_path: Path, holds: bool) -> None:
    """They lead elsewhere; one that has ended belongs to nobody any more."""
    proc = proc_of(
        tmp_path,
        row("0100007F:A8CA", "0100007F:6B33", 0, 0, "06"),
        row("0100007F:A8CA", "0100007F:01BB", os.geteuid(), 55),
        row("0100007F:A8CA", "0100007F:1F90", os.geteuid(), 77),
    )
    descriptors = tmp_path / "12" / "fd"
    descriptors.mkdir(parents=True)
    (descriptors / "3").symlink_to("socket:[55]")
    if holds:
        (descriptors / "4").symlink_to("socket:[77]")
    assert is_caller(PEER, PORT, 12, proc) is holds


@pytest.mark.parametrize("peer", ["ipv4:127.0.0.1:1", "ipv6:[::1]:43210", "unix:", ""])
def test_what_the_kernel_does_not_know_is_refused(tmp_path: Path, peer: str) -> None:
    assert not is_caller(peer, PORT, None, proc_of(tmp_path))


def test_where_the_kernel_cannot_be_asked_everybody_is_answered(tmp_path: Path) -> None:
    assert is_caller("ipv4:127.0.0.1:1", PORT, 1, tmp_path)
