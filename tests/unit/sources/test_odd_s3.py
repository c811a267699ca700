"""What S3-compatible servers do otherwise: each works, or is one true sentence with a remedy. By both clients: ours in the pod, botocore here."""

import hashlib
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.odd_s3 import BUCKET, OddS3, odd_s3
from support.weights import MODEL
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.base import EnvReference
from weighbridge.errors import PreconditionError, WeighbridgeError
from weighbridge.mover.control import Control
from weighbridge.mover.document import OrderFile
from weighbridge.mover.endpoint import Endpoint
from weighbridge.mover.errors import RefusedError
from weighbridge.mover.limits import Limits
from weighbridge.mover.sources.s3.credentials import MountedKeys
from weighbridge.mover.sources.s3.location import Location
from weighbridge.mover.sources.s3.login import log_in
from weighbridge.mover.sources.s3.origin import S3Origin
from weighbridge.mover.sources.s3.sigv4 import Keys
from weighbridge.mover.transport import Lane
from weighbridge.s3.settings import S3KeyPair, S3Source
from weighbridge.s3.text_rules import bucket
from weighbridge.sources.interface import Around, OpenSource
from weighbridge.sources.looking import look
from weighbridge.sources.s3 import S3

OBJECTS = {f"m/{path}": content for path, content in MODEL.items()}
MANY = {**OBJECTS, **{f"m/zz/{number:02d}.json": b"{}" for number in range(20)}}
PAIR = S3KeyPair(access_key=EnvReference(env="A"), secret_key=EnvReference(env="B"))
VALUES = {"AWS_ACCESS_KEY_ID": "AKIAPLANTED", "AWS_SECRET_ACCESS_KEY": "PLANTEDSECRET"}


@contextmanager
def place(server: OddS3) -> Iterator[OpenSource]:
    settings = S3Source(bucket=BUCKET, prefix="m/", endpoint=server.endpoint, credentials=PAIR)
    with closing(S3().open(settings, Around(values=VALUES))) as source:
        yield source


def listed(server: OddS3) -> SourceListing:
    with place(server) as source:
        return look(source)


def refusal(server: OddS3) -> WeighbridgeError:
    with pytest.raises(PreconditionError) as refused:
        listed(server)
    assert refused.value.remedy
    assert "PLANTED" not in str(refused.value)
    return refused.value


# -- listings ---------------------------------------------------------------------------------------------------------


def test_a_listing_of_several_pages_is_whole_also_from_a_server_of_version_1() -> None:
    for odd in ((), ("version-1",), ("no-token",)):
        with odd_s3(MANY, *odd) as server:
            server.page = 7
            assert [file.path for file in listed(server).files] == sorted(
                key.removeprefix("m/") for key in MANY
            ), odd


@pytest.mark.parametrize("odd", ["same-token", "wrong-count"])
def test_a_listing_that_is_cut_short_or_does_not_go_on_is_refused(odd: str) -> None:
    with odd_s3(MANY, odd) as server:
        server.page = 7
        error = refusal(server)
    assert error.code == "source-listing-cut"
    assert "not whole" in error.what


def test_etags_that_the_listing_leaves_out_are_asked_for_and_without_any_it_is_refused() -> None:
    with odd_s3(OBJECTS) as server:
        usual = listed(server).fingerprint
    with odd_s3(OBJECTS, "no-etag") as server:
        assert listed(server).fingerprint == usual
    with odd_s3(OBJECTS, "no-etag-at-all") as server:
        assert refusal(server).code == "source-no-etag"


@pytest.mark.parametrize("odd", ["", "version-1", "no-token", "no-etag", "same-token", "no-etag-at-all"])
def test_the_pod_lists_what_the_plan_lists_and_refuses_what_it_refuses(odd: str) -> None:
    with odd_s3(MANY, odd) as server:
        server.page = 7
        if odd in {"same-token", "no-etag-at-all"}:
            refusal(server)
            with (
                origin_of(server) as (origin, lane),
                pytest.raises(RefusedError, match=r"does not go on|without an ETag"),
            ):
                origin.list(lane, ())
            return
        planned = [(file.path, file.size, file.etag) for file in listed(server).files]
        with origin_of(server) as (origin, lane):
            found = origin.list(lane, ())
        assert sorted((file.path, file.size, file.etag) for file in found) == planned


def test_archived_objects_are_named_before_anything_moves_and_restored_ones_are_read() -> None:
    with odd_s3(OBJECTS, "archived") as server:
        error = refusal(server)
        assert error.code == "source-archived"
        assert "model-00001-of-00002.safetensors" in error.what
        assert "GLACIER" in error.what
    with odd_s3(OBJECTS, "archived", "restored") as server:
        assert len(listed(server).files) == len(OBJECTS)


@pytest.mark.parametrize("odd", ["page", "broken-page", "forbidden-page"])
def test_a_web_page_is_called_one(odd: str) -> None:
    with odd_s3(OBJECTS, odd) as server:
        error = refusal(server)
    assert error.code == "s3-not-s3"
    assert "web page" in error.what


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_ends_at_once_and_takes_the_keys_nowhere(status: int) -> None:
    with odd_s3(OBJECTS, "redirect") as server, odd_s3(OBJECTS) as elsewhere:
        server.status, server.location = status, f"{elsewhere.endpoint}/models?signature=PLANTED"
        error = refusal(server)
        assert error.code == "s3-redirect"
        assert elsewhere.endpoint in error.what
        assert len(server.requests) == 1
        assert not elsewhere.requests


def test_a_redirect_to_the_same_host_by_tls_says_what_to_write() -> None:
    with odd_s3(OBJECTS, "redirect") as server:
        server.location = f"https://{urlsplit(server.endpoint).netloc}/models"
        assert f"endpoint: {server.location.removesuffix('/models')}" in str(refusal(server).remedy)


def test_a_download_that_is_redirected_is_refused_with_where_it_leads() -> None:
    with odd_s3(OBJECTS, "download-redirect") as server:
        error = refusal(server)
    assert "elsewhere.example.com" in error.what


# -- bytes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["weak", "no-conditions"])
def test_weak_etags_and_servers_without_conditions_work(odd: str, tmp_path: Path) -> None:
    with odd_s3(OBJECTS, odd) as server, place(server) as source:
        listing = look(source)
        for file in listing.files:
            sha256 = source.download(
                file, tmp_path / "x", deadline=time.monotonic() + 20, advance=lambda *_, **__: None
            )
            assert sha256 == hashlib.sha256(MODEL[file.path]).hexdigest()
            (tmp_path / "x").unlink()
            assert fetched(server, file.path, file.etag) == MODEL[file.path]


def test_without_conditions_another_content_is_found_by_its_etag(tmp_path: Path) -> None:
    with odd_s3(OBJECTS, "no-conditions") as server, place(server) as source:
        file = next(file for file in look(source).files if file.path == "config.json")
        server.objects = {**OBJECTS, "m/config.json": b"[]"}
        with pytest.raises(PreconditionError, match="another ETag"):
            source.download(
                file, tmp_path / "x", deadline=time.monotonic() + 20, advance=lambda *_, **__: None
            )
        with pytest.raises(RefusedError, match="its ETag is"):
            fetched(server, file.path, file.etag)
        server.odd.add("no-etag-at-all")
        with pytest.raises(RefusedError, match="without an ETag"):
            fetched(server, file.path, file.etag)


def test_the_pod_says_of_a_redirected_or_archived_object_what_it_is() -> None:
    with odd_s3(OBJECTS, "download-redirect") as server:
        with pytest.raises(RefusedError, match=r"on to https://elsewhere\.example\.com ") as redirected:
            fetched(server, "config.json", server.etag("m/config.json"))
        assert redirected.value.code == "source-redirect"
        assert "PLANTED" not in redirected.value.message
    with odd_s3(OBJECTS, "archived") as server:
        path = "model-00001-of-00002.safetensors"
        with pytest.raises(RefusedError, match="archived"):
            fetched(server, path, server.etag(f"m/{path}"))


@pytest.mark.parametrize(("odd", "code"), [("page", "not-s3"), ("redirect", "redirect")])
def test_doctor_tells_a_web_page_and_a_redirect_from_an_empty_bucket(odd: str, code: str) -> None:
    with odd_s3(OBJECTS, odd) as server:
        location = Location(server.endpoint, "us-east-1", BUCKET, "m/")
        found = log_in(
            location, Endpoint(server.endpoint, environment={}), lambda: Keys("AKIAPLANTED", "PLANTEDSECRET")
        )
    assert (found["ok"], found["code"]) == (False, code)
    assert code in S3().remedies


@contextmanager
def origin_of(server: OddS3) -> Iterator[tuple[S3Origin, Lane]]:
    """The source as the mover sees it."""
    location = Location(server.endpoint, "us-east-1", BUCKET, "m/")
    with closing(Lane(server.endpoint, ssl.create_default_context(), None, 5.0)) as lane:
        yield S3Origin(location, MountedKeys(None), Control(30), lambda _: None, Limits()), lane


def fetched(server: OddS3, path: str, etag: str) -> bytes:
    """As the mover reads it."""
    content = MODEL[path]
    file = OrderFile(path, len(content), etag)
    view = memoryview(bytearray(len(content)))
    at = 0
    with origin_of(server) as (origin, lane):
        origin.check(lane, file, proof=False)
        with origin.range(lane, file, 0, len(content)) as response:
            while at < len(content):
                at += origin.read(lane, response, view[at:])
    return bytes(view)


def test_names_of_tenants_and_access_points_are_refused_with_what_to_write() -> None:
    tenant, arn = (
        bucket("tenant1:models"),
        bucket("arn:aws:s3:eu-central-1:123456789012:accesspoint/models-ap"),
    )
    assert "tenant" in tenant[0].what
    assert "bucket: models" in str(tenant[0].remedy)
    assert "access point" in arn[0].what
