from datetime import UTC, datetime
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.mover.sources.s3.sigv4 import Keys, Request, canonical_query, object_target, signed_headers

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NOW = datetime(2026, 11, 21, 10, 11, 12, tzinfo=UTC)


@given(
    TEXT,
    st.dictionaries(st.sampled_from(["partNumber", "versionId", "a b", "ü"]), TEXT, max_size=3),
    st.none() | st.just("tok/en+="),
    st.sampled_from(["us-east-1", "eu-de"]),
)
def test_signatures_are_botocores(key: str, query: dict[str, str], token: str | None, region: str) -> None:
    keys = Keys("AKIDEXAMPLE", "wJalr+secret/", token)
    request = Request(
        "GET",
        "s3.example.com:9000",
        object_target("models", key),
        query,
        {"x-amz-checksum-mode": "ENABLED", "Range": "bytes=0-1"},
    )
    headers = signed_headers(request, keys, region, NOW)
    signed = headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    lower = {name.lower(): value for name, value in headers.items()}
    url = f"http://s3.example.com:9000{request.target}" + (f"?{canonical_query(query)}" if query else "")
    theirs = AWSRequest(method="GET", url=url, headers={name: lower[name] for name in signed})
    theirs.context["timestamp"] = lower["x-amz-date"]
    signer = S3SigV4Auth(Credentials(keys.access_key, keys.secret_key, token), "s3", region)
    assert urlsplit(url).path == request.target
    assert headers["Authorization"].endswith(
        signer.signature(signer.string_to_sign(theirs, signer.canonical_request(theirs)), theirs)
    )


def test_secrets_stay_out_of_sight() -> None:
    assert "hidden" not in repr(Keys("AK", "hidden", "hidden"))
