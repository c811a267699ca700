"""How S3 is reached, and what its answers are told as, without a server."""

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest
import urllib3.exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from weighbridge.domain.credentials import S3Keys
from weighbridge.environment.types import EnvReference, Proxy
from weighbridge.errors import PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.s3.client import proxies_for
from weighbridge.s3.failures import is_transient, s3_errors, translate
from weighbridge.s3.settings import S3KeyPair, S3Source
from weighbridge.s3.target import S3Target

PAIR = S3KeyPair(access_key=EnvReference(env="A"), secret_key=EnvReference(env="B"))
SOURCE = S3Source(bucket="models", prefix="m/", endpoint="https://s3.example.com:9000", credentials=PAIR)
TARGET = S3Target(SOURCE, S3Keys("AKIAPLANTEDKEY", "PLANTEDSECRET", "PLANTEDTOKEN"))


def client_error(status: int, code: str, **error: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, **error}, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}}},
        "ListObjectsV2",
    )


def test_the_library_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, weighbridge.sources.s3.reading; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("no_proxy", "expected"),
    [
        ((), True),
        (("example.com",), False),
        ((".example.com",), False),
        (("other.com", "10.0.0.0/8"), True),
        (("s3.example.com",), False),
        (("*",), False),
    ],
)
def test_no_proxy_covers_names_and_suffixes(no_proxy: tuple[str, ...], expected: bool) -> None:
    found = proxies_for(SOURCE.endpoint, Proxy(http="http://p:1", https="http://p:1", no_proxy=no_proxy))
    assert found == ({"http": "http://p:1", "https": "http://p:1"} if expected else {})


def test_no_proxy_covers_networks_and_without_a_proxy_setting_the_environment_counts() -> None:
    proxy = Proxy(https="http://p:1", no_proxy=("10.0.0.0/8",))
    assert proxies_for("http://10.213.77.1:27070", proxy) == {}
    assert proxies_for("http://11.0.0.1", proxy) == {"https": "http://p:1"}
    environ = {"http_proxy": "p:1", "NO_PROXY": "10.0.0.0/8"}
    assert proxies_for("http://11.0.0.1", None, environ) == {"http": "http://p:1"}
    assert proxies_for("http://10.0.0.1", None, environ) == {}
    assert proxies_for("http://11.0.0.1", None, {}) == {}


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "InvalidAccessKeyId", "does not know the access key AKIA…"),
        (403, "SignatureDoesNotMatch", "the secret key does not belong to the access key AKIA…"),
        (403, "AccessDenied", "may not list s3://models/m/"),
        (400, "ExpiredToken", "has expired"),
        (403, "RequestTimeTooSkewed", "clock differs"),
        (404, "NoSuchBucket", "bucket 'models' does not exist"),
        (412, "PreconditionFailed", "was replaced since it was listed"),
        (418, "Teapot", "418 Teapot"),
    ],
)
def test_refusals_are_told_apart_and_quote_no_key(status: int, code: str, words: str) -> None:
    error = translate(client_error(status, code), TARGET, "list")
    assert isinstance(error, PreconditionError)
    assert words in error.what
    assert error.remedy
    assert "PLANTED" not in str(error)


def test_a_bucket_of_another_region_names_the_region_to_write() -> None:
    error = translate(client_error(301, "PermanentRedirect", Region="eu-de"), TARGET, "list")
    assert "`region: eu-de`" in str(error.remedy)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests"), (400, "RequestTimeout")],
)
def test_overload_may_pass(status: int, code: str) -> None:
    error = translate(client_error(status, code), TARGET, "list")
    assert is_transient(client_error(status, code))
    assert isinstance(error, StepFailedError)
    assert error.transient


def raised() -> list[Exception]:
    """One of each kind that botocore has, as far as it can be made without knowing it."""
    formats = "".join(str(kind.fmt) for kind in KINDS)
    fields: dict[str, Any] = dict.fromkeys(re.findall(r"{(\w+)", formats), "x")
    return [kind(**{"error": OSError("reset"), "request": None, **fields}) for kind in KINDS]


KINDS: list[Any] = [
    kind
    for kind in vars(botocore.exceptions).values()
    if isinstance(kind, type)
    and issubclass(kind, botocore.exceptions.BotoCoreError)
    and kind is not botocore.exceptions.BotoCoreError
    and "__init__" not in vars(kind)
]


@pytest.mark.parametrize(
    "error",
    [
        *raised(),
        ResponseParserError("not XML"),
        urllib3.exceptions.ProtocolError("reset"),
        ConnectionResetError("reset"),
        TimeoutError("slow"),
        ValueError("Invalid endpoint"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_raised_below_becomes_one_of_ours(error: Exception) -> None:
    with pytest.raises(WeighbridgeError) as caught, s3_errors(TARGET, "read"):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.exit_code in {3, 4}
    assert caught.value.remedy


QUOTED = (
    "Invalid header value b'AWS4-HMAC-SHA256 Credential=AKIAPLANTEDKEY\\n/20260101/us-east-1/s3/aws4_request'",
    "Invalid header value b'PLANTEDTOKEN\\n'",
    "PLANTEDSECRET",
)


QUOTING: dict[str, Callable[[str], Exception]] = {
    "unsent": lambda text: botocore.exceptions.HTTPClientError(error=ValueError(text)),
    "lost": lambda text: botocore.exceptions.HTTPClientError(error=OSError(text)),
    "unreached": lambda text: botocore.exceptions.EndpointConnectionError(
        endpoint_url="x", error=OSError(text)
    ),
    "tls": lambda text: botocore.exceptions.SSLError(endpoint_url="x", error=OSError(text)),
    "malformed": ValueError,
    "not XML": ResponseParserError,
    "broken": urllib3.exceptions.ProtocolError,
    "long": lambda text: client_error(418, "Teapot", Message=f"{'x' * 190}{text}"),
    "code": lambda text: client_error(400, text, Message=text),
    "region": lambda text: client_error(301, "PermanentRedirect", Region=text),
}


@pytest.mark.parametrize("text", QUOTED, ids=range(len(QUOTED)))
@pytest.mark.parametrize("made", QUOTING.values(), ids=QUOTING)
def test_what_others_quote_of_the_keys_is_not_passed_on(made: Callable[[str], Exception], text: str) -> None:
    error = translate(made(text), TARGET, "list")
    assert "PLANTED" not in f"{error} {error.code}"
    assert "Credential=AKIA" not in str(error)


def test_a_request_that_cannot_be_written_is_not_tried_again_and_names_where_to_look() -> None:
    unsent = botocore.exceptions.HTTPClientError(error=ValueError("Invalid header value b'PLANTED'"))
    assert not is_transient(unsent)
    error = translate(unsent, TARGET, "list")
    assert (error.exit_code, error.code) == (3, "s3-unsendable")
    assert "credentials" in str(error.remedy)
