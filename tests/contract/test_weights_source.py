"""What every source of weights promises, on a real S3 server."""

import hashlib
import json
import os
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.s3_server import BUCKET, KEYS, FaultyS3, S3Server, answer, cut_after, s3_server, stall
from weighbridge.domain.credentials import S3Keys
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.environment.types import Proxy
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.s3.client import S3Target, open_client
from weighbridge.s3.download import download
from weighbridge.s3.settings import S3Source
from weighbridge.sources.looking import look
from weighbridge.sources.s3.reading import S3Place

pytestmark = pytest.mark.sandbox


def safetensors(size: int) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(index % 251 for index in range(size))


MODEL = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model-00001-of-00002.safetensors": safetensors(5000),
    "model-00002-of-00002.safetensors": safetensors(300),
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    ).encode(),
    "1_Pooling/config.json": b"{}",
    "empty.txt": b"",
    "naïve name [1].txt": b"x",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        for path, content in MODEL.items():
            running.put(f"tiny-llama/{path}", content)
        running.put("tiny-llama/1_Pooling/", b"")
        running.put("tiny-llama-2/config.json", b"{}")
        yield running


def listed(  # what a plan looks at
    source: S3Source,
    keys: S3Keys = KEYS,
    exclude: tuple[str, ...] = (),
    ca_bundle: Path | None = None,
    proxy: Proxy | None = None,
) -> SourceListing:
    with closing(S3Place(S3Target(source, keys, ca_bundle, proxy))) as place:
        return look(place, exclude)


def test_the_listing_is_the_set_sorted_with_sizes_and_plain_etags(server: S3Server) -> None:
    listing = listed(server.source("tiny-llama/"))
    assert [file.path for file in listing.files] == sorted(MODEL)
    assert {file.path: file.size for file in listing.files} == {
        path: len(content) for path, content in MODEL.items()
    }
    etags = {file.path: file.etag for file in listing.files}
    assert etags["config.json"] == hashlib.md5(b"{}", usedforsecurity=False).hexdigest()


def test_a_prefix_is_a_folder_with_or_without_its_slash(server: S3Server) -> None:
    with_slash = listed(server.source("tiny-llama/"))
    assert listed(server.source("tiny-llama")) == with_slash


def test_exclude_leaves_files_behind_and_changes_the_fingerprint(server: S3Server) -> None:
    whole = listed(server.source("tiny-llama/"))
    less = listed(server.source("tiny-llama/"), exclude=("1_Pooling/*", "*.txt"))
    assert {file.path for file in whole.files} - {file.path for file in less.files} == {
        "1_Pooling/config.json",
        "empty.txt",
        "naïve name [1].txt",
    }
    assert whole.fingerprint != less.fingerprint


def test_more_than_one_page_is_listed_whole(server: S3Server) -> None:
    for path in ("config.json", "tokenizer.json"):
        server.put(f"many/{path}", b"{}")
    server.put("many/model.safetensors", safetensors(9))
    for index in range(1100):
        server.put(f"many/parts/{index:04}.txt", b"")
    assert len(listed(server.source("many/")).files) == 1103


def refusal(
    server: S3Server, prefix: str = "tiny-llama/", keys: S3Keys = KEYS, **of_source: str
) -> PreconditionError:
    with pytest.raises(PreconditionError) as refused:
        listed(server.source(prefix, **of_source), keys)
    return refused.value


def test_a_typing_mistake_in_the_prefix_names_the_nearest_prefix(server: S3Server) -> None:
    error = refusal(server, "tiny-lama/")
    assert "s3://models/tiny-lama/" in error.what
    assert error.remedy is not None
    assert "tiny-llama/" in error.remedy


def test_an_absent_bucket_wrong_keys_and_a_wrong_secret_are_told_apart(server: S3Server) -> None:
    absent = refusal(server, bucket="absent")
    assert absent.code == "s3-no-such-bucket"
    assert "'absent'" in absent.what
    stranger = refusal(server, keys=S3Keys("somebody-else-key", "test-secret-key"))
    assert stranger.code == "s3-invalid-access-key-id"
    assert "does not know the access key some…" in stranger.what
    wrong = refusal(server, keys=S3Keys("test-access-key", "wrong-secret-value"))
    assert wrong.code == "s3-signature-does-not-match"
    assert "wrong-secret-value" not in str(wrong)
    assert "secret_key" in str(wrong.remedy)


def test_a_prefix_without_the_files_a_server_needs_names_them(server: S3Server) -> None:
    error = refusal(server, "tiny-llama-2/")
    assert "tokenizer.json" in error.what
    assert "*.safetensors" in error.what


def test_a_shard_that_the_index_names_and_nobody_uploaded_is_named(server: S3Server) -> None:
    with pytest.raises(PreconditionError, match="model-00002-of-00002"):
        listed(server.source("tiny-llama/"), exclude=("model-00002*",))


def test_pickles_are_refused_with_the_pattern_to_write(server: S3Server) -> None:
    for path in ("config.json", "tokenizer.json"):
        server.put(f"pickled/{path}", b"{}")
    server.put("pickled/model.safetensors", safetensors(9))
    server.put("pickled/pytorch_model.bin", b"\x80\x04")
    error = refusal(server, "pickled/")
    assert "pytorch_model.bin" in error.what
    assert 'exclude: ["*.bin"]' in str(error.remedy)
    assert listed(server.source("pickled/"), exclude=("*.bin",)).files


def test_a_git_lfs_pointer_in_place_of_weights_is_found_before_a_byte_moves(server: S3Server) -> None:
    for path in ("config.json", "tokenizer.json"):
        server.put(f"pointer/{path}", b"{}")
    server.put(
        "pointer/model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    )
    assert refusal(server, "pointer/").code == "source-bad-safetensors"


def test_a_closed_port_a_name_nobody_knows_and_a_web_page_are_told_apart(
    server: S3Server, tmp_path: Path
) -> None:
    closed = refusal(server, endpoint="http://127.0.0.1:9")
    assert (closed.code, "refused" in closed.what.lower()) == ("s3-unreachable", True)
    unknown = refusal(server, endpoint="http://s3.invalid")
    assert unknown.code == "s3-unreachable"
    del tmp_path


def test_answers_that_break_off_while_the_source_is_looked_at_are_asked_for_again(server: S3Server) -> None:
    relay = FaultyS3(server, cut_after(20), cut_after(20))
    listing = listed(server.source("tiny-llama/", endpoint=relay.endpoint))
    relay.close()
    assert relay.faults == []
    assert [file.path for file in listing.files] == sorted(MODEL)


def test_a_server_whose_answers_all_break_off_is_a_failure_that_may_pass(server: S3Server) -> None:
    relay = FaultyS3(server, *(cut_after(20) for _ in range(30)))
    with pytest.raises(StepFailedError, match="cannot read s3://") as failed:
        listed(server.source("tiny-llama/", endpoint=relay.endpoint))
    relay.close()
    assert (failed.value.transient, failed.value.code) == (True, "s3-connection")


def test_a_skewed_clock_is_named_with_the_difference(
    server: S3Server, big: SourceFile, tmp_path: Path
) -> None:
    relay = FaultyS3(
        server, answer("403 Forbidden", "RequestTimeTooSkewed", "Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n")
    )
    with pytest.raises(PreconditionError, match=r"clock differs .* minutes \(ahead\)"):
        fetch(server, big, tmp_path / "file", Gains(), endpoint=relay.endpoint)
    relay.close()


def test_a_server_without_a_trusted_certificate_is_refused_with_the_key_to_write(tmp_path: Path) -> None:
    import trustme  # noqa: PLC0415

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    with s3_server(
        tmp_path, "--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")
    ) as running:
        error = refusal(running)
        assert error.code == "s3-tls"
        assert "trust: {ca_bundle" in str(error.remedy)
        with pytest.raises(PreconditionError) as empty:
            listed(running.source("tiny-llama/"), ca_bundle=tmp_path / "ca.pem")
        assert empty.value.code == "source-empty"


def test_a_dead_proxy_is_named_and_no_proxy_goes_around_it(server: S3Server) -> None:
    dead = Proxy(http="http://127.0.0.1:9", https="http://127.0.0.1:9")
    with pytest.raises(PreconditionError) as refused:
        listed(server.source("tiny-llama/"), proxy=dead)
    assert refused.value.code == "s3-proxy"
    around = Proxy(http="http://127.0.0.1:9", https="http://127.0.0.1:9", no_proxy=("127.0.0.0/8",))
    assert listed(server.source("tiny-llama/"), proxy=around).files


BIG = os.urandom(9_000_000)


@pytest.fixture
def big(server: S3Server) -> SourceFile:
    server.put("big/model.safetensors", BIG)
    return SourceFile("model.safetensors", len(BIG), hashlib.md5(BIG, usedforsecurity=False).hexdigest())


def _ignore(gained: int, *, resumed: bool) -> None:
    del gained, resumed


class Gains:
    def __init__(self) -> None:
        self.fetched = 0
        self.resumed = 0

    def __call__(self, gained: int, *, resumed: bool) -> None:
        if resumed:
            self.resumed += gained
        else:
            self.fetched += gained


def fetch(  # noqa: PLR0913
    server: S3Server,
    file: SourceFile,
    into: Path,
    gains: Gains,
    *,
    endpoint: str | None = None,
    read_seconds: float = 5,
) -> str:
    target = S3Target(server.source("big/", endpoint=endpoint), KEYS)
    client = open_client(target, attempts=1, read_seconds=read_seconds)
    try:
        return download(client, target, file, into, deadline=time.monotonic() + 60, advance=gains)
    finally:
        client.close()


def test_a_download_is_the_source_and_its_sha256(server: S3Server, big: SourceFile, tmp_path: Path) -> None:
    gains = Gains()
    assert fetch(server, big, tmp_path / "a" / "file", gains) == hashlib.sha256(BIG).hexdigest()
    assert (tmp_path / "a" / "file").read_bytes() == BIG
    assert (gains.fetched, gains.resumed) == (len(BIG), 0)


def test_cuts_stalls_and_overload_cost_no_byte_twice(
    server: S3Server, big: SourceFile, tmp_path: Path
) -> None:
    relay = FaultyS3(
        server,
        cut_after(2_000_000),
        answer("503 Slow Down"),
        stall(3),
        answer("500 Internal Server Error", "InternalError"),
        cut_after(3_000_000),
    )
    gains = Gains()
    assert (
        fetch(server, big, tmp_path / "file", gains, endpoint=relay.endpoint, read_seconds=1)
        == hashlib.sha256(BIG).hexdigest()
    )
    relay.close()
    assert relay.faults == []
    assert gains.fetched == len(BIG)
    assert (tmp_path / "file").read_bytes() == BIG


def test_a_restart_continues_inside_the_file(server: S3Server, big: SourceFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG[:4_000_000])
    gains = Gains()
    assert fetch(server, big, tmp_path / "file", gains) == hashlib.sha256(BIG).hexdigest()
    assert (gains.fetched, gains.resumed) == (5_000_000, 4_000_000)


def test_an_object_that_was_replaced_is_refused_not_mixed(
    server: S3Server, big: SourceFile, tmp_path: Path
) -> None:
    stale = SourceFile(big.path, big.size, "0" * 32)
    with pytest.raises(PreconditionError, match="replaced"):
        fetch(server, stale, tmp_path / "file", Gains())


def test_a_server_that_stays_away_ends_in_a_failure_that_may_pass(
    server: S3Server, big: SourceFile, tmp_path: Path
) -> None:
    relay = FaultyS3(server, *(cut_after(10) for _ in range(30)))
    target = S3Target(server.source("big/", endpoint=relay.endpoint), KEYS)
    client = open_client(target, attempts=1)
    started = time.monotonic()
    with pytest.raises(StepFailedError) as failed:
        download(client, target, big, tmp_path / "file", deadline=time.monotonic() + 3, advance=_ignore)
    client.close()
    relay.close()
    assert failed.value.transient
    assert time.monotonic() - started < 10


def test_a_full_spool_disk_is_said_plainly(server: S3Server, big: SourceFile) -> None:
    with pytest.raises(StepFailedError, match="/dev/full"):
        fetch(server, big, Path("/dev/full"), Gains())


def test_the_bucket_of_the_listing_tests_exists(server: S3Server) -> None:
    assert listed(server.source("tiny-llama/", bucket=BUCKET)).total_bytes == sum(map(len, MODEL.values()))
