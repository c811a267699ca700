"""The URL of the state: every option that Pulumi takes is read as Pulumi reads it, or refused by ``check``."""

from pathlib import Path

import pytest

from weighbridge.engines.pulumi.backend import Bucket, parse_backend
from weighbridge.engines.pulumi.state import region_of
from weighbridge.environment import url_rules
from weighbridge.environment.state_url import OPTIONS, s3_place
from weighbridge.errors import InputError

GOOD = {
    "region": "eu-central-1", "endpoint": "https://s3.example.com:9000", "s3ForcePathStyle": "true", "use_path_style": "1",
    "awssdk": "v2", "ssetype": "aws:kms", "kmskeyid": "k", "rate_limiter_capacity": "10",
    "request_checksum_calculation": "when_required", "response_checksum_validation": "WHEN_SUPPORTED",
}  # fmt: skip
GO = {
    "region", "anonymous", "profile", "role", "endpoint", "hostname_immutable", "dualstack", "fips", "rate_limiter_capacity",
    "request_checksum_calculation", "response_checksum_validation", "ssetype", "kmskeyid", "accelerate", "use_path_style",
    "s3ForcePathStyle", "disable_https", "disableSSL", "awssdk",
}  # fmt: skip
"""gocloud.dev 0.46: ``aws.V2ConfigFromURLParams``, ``s3blob.URLOpener``; Pulumi 3.255: ``translateLegacyS3Params``."""


def test_the_table_holds_every_option_of_pulumis() -> None:
    assert OPTIONS.keys() == GO


@pytest.mark.parametrize("name", sorted(GO - {"disableSSL"}))
def test_each_option_is_read_or_refused_by_name(name: str) -> None:
    url = f"s3://state/team?{name}={GOOD.get(name, 'true')}"
    complaints = url_rules.backend(url)
    if name in GOOD:
        assert complaints == ()
        assert isinstance(parse_backend(url, Path("/")), Bucket)
    else:
        [found] = complaints
        assert f"option '{name}' is not supported" in found.what
        assert found.remedy
        with pytest.raises(InputError, match=name):
            parse_backend(url, Path("/"))


@pytest.mark.parametrize(
    ("query", "endpoint"),
    [
        ("endpoint=minio:9000", "https://minio:9000"),
        ("endpoint=minio:9000&disableSSL=True", "http://minio:9000"),
        ("endpoint=minio:9000&disableSSL=0", "https://minio:9000"),
        ("endpoint=http://[fd00::1]:9000", "http://[fd00::1]:9000"),
        ("", None),
    ],
)
def test_an_endpoint_gets_the_scheme_that_pulumi_gives_it(query: str, endpoint: str | None) -> None:
    assert url_rules.backend(f"s3://state?{query}") == ()
    assert s3_place(f"s3://state?{query}").endpoint == endpoint


@pytest.mark.parametrize(
    ("query", "path_style"),
    [
        ("", False),
        ("use_path_style=t", True),
        ("s3ForcePathStyle=false", False),
        ("s3ForcePathStyle=TRUE", True),
    ],
)
def test_where_the_buckets_name_stands(query: str, path_style: bool) -> None:
    assert s3_place(f"s3://state?{query}").path_style is path_style


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("", ""), ("/", ""), ("/a", "a/"), ("/a/", "a/"), ("//a//", "a//"), ("/a%20b", "a b/")],
)
def test_the_prefix_is_cut_as_pulumi_cuts_it(path: str, prefix: str) -> None:
    assert s3_place(f"s3://state{path}").prefix == prefix


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://state?Region=x", "no option 'Region'"),
        ("s3://state?region=a&region=b", "2 times"),
        ("s3://state?region=", "'region' has a value"),
        ("s3://state?s3ForcePathStyle=yes", "'s3ForcePathStyle' has a value"),
        ("s3://state?disableSSL=true", "without a scheme only"),
        ("s3://state?endpoint=https://x&disableSSL=true", "without a scheme only"),
        ("s3://state?endpoint=ftp://x", "'endpoint' has a value"),
        ("s3://state?endpoint=https://us:er@x", "'endpoint' has a value"),
        ("file:///state?no_tmp_dir=false", "takes no options"),
        ("file:///state#x", "takes no options"),
        ("file://~somebody/state", "own home folder"),
    ],
)
def test_what_pulumi_would_read_otherwise_or_not_at_all_is_refused(url: str, words: str) -> None:
    assert any(words in found.what for found in url_rules.backend(url))
    assert "us:er" not in str(url_rules.backend(url))
    with pytest.raises(InputError):
        parse_backend(url, Path("/"))


def test_pulumi_is_told_the_region_that_we_read_with() -> None:
    bare = Bucket(url="s3://state", name="state", prefix="", endpoint=None, region=None)
    assert region_of(bare, {}) == "us-east-1"
    assert region_of(bare, {"AWS_DEFAULT_REGION": "eu-west-1"}) == "eu-west-1"
    with_region = Bucket(url="s3://state", name="state", prefix="", endpoint=None, region="ap-south-1")
    assert region_of(with_region, {"AWS_REGION": "eu-west-1"}) == "ap-south-1"
