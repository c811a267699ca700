"""The mover against a real S3 server: its signatures, ranges, checksums, TLS, and a server that dies under it."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from boto3.s3.transfer import TransferConfig

from support.http_proxy import PASSWORD, http_proxy
from support.mover_bench import MODEL, Bench, digest_of, weight_set
from support.s3_server import BUCKET, KEYS, S3Server, s3_server

pytestmark = pytest.mark.sandbox
PART = 5 << 20


class RealBench(Bench):
    """The order's ETags are what the real server lists."""

    server: S3Server
    verify: str | bool = False

    def upload(self, server: S3Server, verify: str | None = None) -> None:
        """As people upload: boto3's managed transfer, which makes parts of large files."""
        client: Any = boto3.client(
            "s3", endpoint_url=server.endpoint, region_name="us-east-1", verify=verify,
            aws_access_key_id=KEYS.access_key, aws_secret_access_key=KEYS.secret_key,
        )  # fmt: skip
        for path, content in self.files.items():
            config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
            client.upload_fileobj(io.BytesIO(content), BUCKET, f"{MODEL}/{path}", Config=config)
        listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{MODEL}/")["Contents"]
        self.etags = {item["Key"].removeprefix(f"{MODEL}/"): item["ETag"].strip('"') for item in listed}
        client.close()
        self.give_keys(KEYS.access_key, KEYS.secret_key)

    def order(self, endpoint: str, route: str = "fetch") -> dict[str, Any]:
        order = super().order(endpoint, route)
        for file in order["files"]:
            file["etag"] = self.etags[file["path"]]
        return order


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path, "--keep-alive") as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, server: S3Server) -> RealBench:
    folder = tmp_path / "bench"
    folder.mkdir()
    bench = RealBench(folder, weight_set(12_000_000, 150_000), limits={"chunk_bytes": 1 << 20})
    bench.upload(server)
    assert bench.etags["model-00000.safetensors"].endswith("-3")
    return bench


def test_fetch_repair_and_verify(bench: RealBench, server: S3Server) -> None:
    first = bench.run("fetch", server.endpoint)
    assert (first.code, first.outcome, first.termination["set_digest"]) == (
        0,
        "published",
        digest_of(bench.files),
    ), first
    assert bench.stored() == bench.files
    assert bench.run("fetch", server.endpoint).outcome == "unchanged"
    (bench.published / "model-00000.safetensors").write_bytes(b"")
    assert bench.run("verify").code == 5
    assert bench.run("fetch", server.endpoint).termination["files_repaired"] == ["model-00000.safetensors"]
    assert bench.run("verify").code == 0


def test_a_byte_that_rots_in_the_server_is_found_by_its_checksum(
    bench: RealBench, server: S3Server, tmp_path: Path
) -> None:
    stored = tmp_path / "data" / BUCKET / MODEL / "model-00000.safetensors"
    with stored.open("r+b") as stream:
        stream.seek(6_000_000)
        stream.write(b"\0\1\2\3")
    ended = bench.run("fetch", server.endpoint)
    assert (ended.code, ended.error) == (5, "source-checksum")
    assert "crc32 of parts" in ended.termination["error"]["message"]
    assert not bench.published.exists()


def test_refusals_of_the_real_server_are_understood(bench: RealBench, server: S3Server) -> None:
    bench.give_keys(KEYS.access_key, "wrong")
    assert bench.run("fetch", server.endpoint).error == "credentials-refused"
    bench.give_keys("nobody", "wrong")
    assert bench.run("fetch", server.endpoint).error == "credentials-refused"
    bench.give_keys(KEYS.access_key, KEYS.secret_key)
    bench.etags["config.json"] = "0" * 32
    changed = bench.run("fetch", server.endpoint)
    assert (changed.error, changed.termination["error"]["files"]) == ("source-changed", ["config.json"])


def test_a_server_that_dies_and_comes_back_is_waited_for(bench: RealBench, server: S3Server) -> None:
    bench.limits = {"chunk_bytes": 1 << 16, "workers": 1}
    running = bench.start("fetch", server.endpoint)
    journal = Path(f"{bench.staging}.journal")
    until = time.monotonic() + 20
    while not journal.exists() or journal.read_bytes().count(b"\n") < 10:
        assert time.monotonic() < until
        time.sleep(0.002)
    server.stop()
    time.sleep(1)
    server.start()
    ended = running.wait()
    assert (ended.code, ended.outcome) == (0, "published"), ended
    assert bench.stored() == bench.files


def test_tls_needs_the_authority_that_signed(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf = authority.issue_cert("127.0.0.1", "s3.test")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    folder = tmp_path / "bench"
    folder.mkdir()
    bench = RealBench(folder, weight_set(300_000))
    with s3_server(
        tmp_path, "--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")
    ) as server:
        bench.upload(server, verify=str(tmp_path / "ca.pem"))
        untrusted = bench.run("fetch", server.endpoint)
        assert (untrusted.code, untrusted.error) == (3, "tls-untrusted")
        assert "trust.ca_bundle" in untrusted.termination["error"]["remedy"]
        trusted = bench.run("fetch", server.endpoint, more=["--ca", str(tmp_path / "ca.pem")])
        assert trusted.outcome == "published"
        (bench.published / "model-00000.safetensors").unlink()
        with http_proxy() as proxy:
            bench.extra = {"proxy": {"https": proxy.url}}
            endpoint = server.endpoint.replace("127.0.0.1", "s3.test")
            through = bench.run("fetch", endpoint, more=["--ca", str(tmp_path / "ca.pem")])
        assert through.outcome == "repaired"
        assert {line.split(" ")[0] for line in proxy.requests} == {"CONNECT"}
    assert bench.stored() == bench.files


def test_a_proxy_of_the_environment_is_used_and_its_password_never_told(
    bench: RealBench, server: S3Server
) -> None:
    with http_proxy() as proxy:
        endpoint = server.endpoint.replace("127.0.0.1", "s3.test")
        ended = bench.run("fetch", endpoint, env={"HTTP_PROXY": proxy.url})
        assert (ended.code, ended.outcome) == (0, "published"), ended
        assert any(line.startswith(f"GET {endpoint}/{BUCKET}/") for line in proxy.requests)
        wrong = proxy.url.replace(PASSWORD, "mistyped")
        (bench.published / "config.json").unlink()
        bench.limits = {"patience_seconds": 5}
        refused = bench.run("fetch", endpoint, env={"HTTP_PROXY": wrong})
    assert (refused.code, refused.error) == (4, "source-refused")
    assert "407" in refused.termination["error"]["message"]
    assert PASSWORD not in str(ended)
    assert "mistyped" not in str(refused)
    assert (
        bench.run("fetch", server.endpoint, env={"HTTP_PROXY": wrong, "NO_PROXY": "127.0.0.0/8"}).outcome
        == "repaired"
    )
