"""The campaign's own machinery, without a sandbox: what a seed decides, and the proxy that spoils answers."""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.campaign.catalogue import CATALOGUE
from faults.campaign.draw import PHASES, draw
from faults.campaign.inject import known
from faults.campaign.report import Record, document
from support.fake_s3 import FakeS3, Stored, fake_s3
from support.s3_fault_proxy import Kind, S3Fault, S3FaultProxy, s3_fault_proxy

BODY = bytes(range(256)) * 4000


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), number=st.integers(0, 2_000))
def test_a_seed_decides_a_trial_and_its_strikes_fit_what_it_does(seed: int, number: int) -> None:
    trial = draw(seed, number, CATALOGUE)
    assert trial == draw(seed, number, CATALOGUE)
    by_name = {fault.name: fault for fault in CATALOGUE}
    for strike in trial.strikes:
        assert strike.phase in by_name[strike.fault].phases & set(PHASES[trial.change])
        assert trial.route in by_name[strike.fault].routes
        assert by_name[strike.fault].shared == trial.shared


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_every_fault_comes_first_as_often_as_the_others(seed: int) -> None:
    rounds = 3
    firsts = [draw(seed, number, CATALOGUE).strikes[0].fault for number in range(rounds * len(CATALOGUE))]
    assert sorted(firsts) == sorted([fault.name for fault in CATALOGUE] * rounds)


def test_every_fault_of_the_catalogue_can_be_done() -> None:
    assert known() == {fault.name for fault in CATALOGUE}


ROW: dict[str, Any] = {
    "number": 7,
    "faults": ["kill-pulumi", "ctrl-c"],
    "change": "version",
    "route": "push",
    "struck": True,
    "moment": "plan + 1.0 s",
    "exits": [4, 130],
    "runs_after": 2,
    "seconds": 60.0,
    "problems": ["left in the cluster: pods x"],
}


def test_the_document_counts_by_fault_and_names_what_was_lost() -> None:
    text = document([ROW], 4, CATALOGUE)
    assert "| kill -9 of the Pulumi CLI | 1 | exit 4 (1) | 2 | 1 |" in text
    assert "left in the cluster: pods x" in text
    assert "1 lost something" in text
    assert "a part of a campaign" in text
    assert "nothing was lost" in document([{**ROW, "problems": []}], 4, CATALOGUE)


def test_a_trial_that_is_repeated_counts_as_it_ended_last_and_the_document_says_so(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    for row in (ROW, {**ROW, "problems": []}, {**ROW, "number": 8, "problems": []}, {**ROW, "problems": []}):
        record.add(row)
    text = document([*record.rows().values()], 4, CATALOGUE)
    assert "nothing was lost" in text
    assert "Repeated, because they had lost something when they were first run: trials 7.\n" in text


@pytest.fixture
def proxy() -> Iterator[S3FaultProxy]:
    with fake_s3({"llama/a": Stored(BODY)}) as upstream, contextlib.ExitStack() as stack:
        yield stack.enter_context(_before(upstream))


@contextlib.contextmanager
def _before(upstream: FakeS3) -> Iterator[S3FaultProxy]:
    with s3_fault_proxy(upstream.endpoint, ("AK", "secret"), {"mine": ("mine-too", None)}) as made:
        yield made


def _get(proxy: S3FaultProxy, *, secret: str | None = None, seconds: float = 5) -> bytes:
    client = boto3.client(
        "s3",
        endpoint_url=proxy.endpoint,
        region_name="us-east-1",
        aws_access_key_id="mine",
        aws_secret_access_key=secret or "mine-too",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            read_timeout=seconds,
            proxies={},
            response_checksum_validation="when_required",
        ),
    )
    try:
        body: bytes = client.get_object(Bucket="models", Key="llama/a")["Body"].read()
        return body
    finally:
        client.close()


def _refused(proxy: S3FaultProxy, secret: str | None = None) -> str:
    with pytest.raises(ClientError) as caught:
        _get(proxy, secret=secret)
    return str(caught.value.response["Error"]["Code"])


def test_without_a_fault_the_proxy_hands_on_what_the_server_has(proxy: S3FaultProxy) -> None:
    assert hashlib.sha256(_get(proxy)).digest() == hashlib.sha256(BODY).digest()


def test_the_proxy_has_keys_and_a_clock_of_its_own(proxy: S3FaultProxy) -> None:
    assert _refused(proxy, secret="another") == "SignatureDoesNotMatch"
    proxy.expired.add("mine")
    assert _refused(proxy) == "ExpiredToken"
    proxy.calm()
    proxy.clock = timedelta(hours=1)
    assert _refused(proxy) == "RequestTimeTooSkewed"
    proxy.calm()
    assert _get(proxy) == BODY
    proxy.keys = {"other": ("x", None)}
    assert _refused(proxy) == "InvalidAccessKeyId"


def test_an_error_is_answered_so_often_as_asked(proxy: S3FaultProxy) -> None:
    proxy.faults.append(S3Fault("error", status=503, code="SlowDown", times=2))
    assert [_refused(proxy), _refused(proxy)] == ["SlowDown", "SlowDown"]
    assert _get(proxy) == BODY
    assert proxy.struck == 2


@pytest.mark.parametrize("kind", ["stall", "reset", "truncate"])
def test_a_body_that_breaks_off_is_never_whole(proxy: S3FaultProxy, kind: Kind) -> None:
    proxy.faults.append(S3Fault(kind, after=300_000, seconds=0.3))
    with pytest.raises((BotoCoreError, ConnectionError)):
        _get(proxy)
    assert _get(proxy) == BODY


def test_a_flipped_bit_changes_one_byte_and_no_length(proxy: S3FaultProxy) -> None:
    proxy.faults.append(S3Fault("flip", after=5_000))
    got = _get(proxy)
    assert [at for at, (one, other) in enumerate(zip(got, BODY, strict=True)) if one != other] == [5_000]


def test_a_delay_is_felt_and_a_proxy_that_is_down_answers_nobody(proxy: S3FaultProxy) -> None:
    proxy.faults.append(S3Fault("delay", seconds=0.5))
    begun = time.monotonic()
    assert _get(proxy) == BODY
    assert time.monotonic() - begun >= 0.5
    proxy.down = True
    with pytest.raises(BotoCoreError):
        _get(proxy)
