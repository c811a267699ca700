"""Rules between the fields of an S3 source."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.tree import Finding, Node, at_value

_AWS_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_place(section: Node) -> Iterator[Finding]:
    """Yield what is wrong between bucket and endpoint."""
    bucket, endpoint = (section.get(key) for key in ("bucket", "endpoint"))
    if bucket is None or endpoint is None or not bucket.string or not endpoint.string:
        return
    try:
        host = urlsplit(endpoint.string).hostname or ""
    except ValueError:
        return
    name = bucket.string
    if ".s3-accesspoint." in f".{host}" or ".s3-object-lambda." in f".{host}":
        what = "the endpoint is an access point's, which is addressed as a host, and buckets are addressed by path here"
        yield at_value(
            endpoint, "bad-url", what, "write https://s3.REGION.amazonaws.com, and the bucket's own name"
        )
    aws = host == "amazonaws.com" or host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    if name.endswith("-s3alias") and aws:
        what = f"{shown(name)} is an access point's alias, which is addressed as a host, and buckets are addressed by path here"
        yield at_value(
            bucket, "bad-bucket", what, "write the bucket's own name, and keys of a user who may read it"
        )
        return
    if aws and host.startswith(f"{name}.s3"):
        what = "the bucket stands in the endpoint's host as well"
        yield at_value(endpoint, "bad-url", what, f"write https://{host.removeprefix(f'{name}.')}")
    if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", name) or ".." in name:
        return
    if (
        not _AWS_BUCKET.fullmatch(name)
        or _is_address(name)
        or name.startswith("xn--")
        or name.endswith("-s3alias")
    ):
        near = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")[:63]
        what = f"{shown(name)} breaks AWS' rules for bucket names (3 to 63 lower-case letters, digits, hyphens, dots)"
        remedy = f"write the bucket's real name, e.g. {shown(near)}" + (
            "" if aws else "; some other servers do take such names"
        )
        yield at_value(bucket, "bad-bucket", what, remedy, warning=not aws)


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
