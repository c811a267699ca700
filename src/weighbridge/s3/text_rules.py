"""Rules on single texts that name a place in S3. A complaint quotes the text only through ``secret_shapes.shown``."""

import re

from weighbridge.environment import kubernetes_syntax as kubernetes
from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.text_rule import Complaint, complain


def bucket(text: str) -> tuple[Complaint, ...]:
    """Characters and lengths that any S3 server takes; AWS' own stricter rules depend on the endpoint
    (``sources/s3/rules.py``).
    """
    if text.startswith("s3://"):
        name, _, rest = text.removeprefix("s3://").partition("/")
        remedy = f"write bucket: {name}" + (f" and prefix: {rest.rstrip('/')}/" if rest.strip("/") else "")
        return complain(f"{shown(text)} is a URL; a bucket's name is due", remedy[:300], "bad-bucket")
    if text.startswith("arn:"):
        return complain(
            f"{shown(text)} is an access point's ARN; access points are hosts of their own, and buckets are addressed by path here",
            "write the bucket's own name, and keys of a user who may read it",
            "bad-bucket",
        )
    if re.fullmatch(r"[\w-]*:[A-Za-z0-9._-]{3,255}", text):
        return complain(
            f"{shown(text)} names a tenant before the bucket, as Ceph does; clients of S3 refuse such names",
            f"write bucket: {text.rpartition(':')[2]}, and keys of a user of that tenant",
            "bad-bucket",
        )
    if "/" in text:
        name, _, rest = text.strip("/").partition("/")
        remedy = f"write bucket: {name}" + (f" and prefix: {rest}/" if rest else "")
        return complain(
            f"{shown(text)} contains a slash; a bucket's name has none", remedy[:300], "bad-bucket"
        )
    if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", text) or ".." in text:
        near = re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.")
        remedy = "write 3 to 63 lower-case letters, digits, hyphens and dots" + (
            f', e.g. "{near[:63]}"' if kubernetes.is_label(near) else ""
        )
        return complain(f"{shown(text)} is not a bucket's name", remedy, "bad-bucket")
    return ()


def prefix(text: str) -> tuple[Complaint, ...]:
    """Empty, or a folder of the bucket: no leading slash, ends in a slash, no ``.``, ``..`` or empty segment
    (S3 keys: at most 1024 bytes).
    """
    if text.startswith("s3://"):
        return complain(
            f"{shown(text)} is a URL; the part of the key before the files' names is due",
            "write the bucket under bucket:, and here e.g. example-13b/",
            "bad-prefix",
        )
    segments = text.removesuffix("/").split("/")
    wrong = "\\" in text or not text.isprintable() or any(segment in {"", ".", ".."} for segment in segments)
    if wrong or len(text.encode(errors="replace")) > 1024 or not text.endswith("/"):  # noqa: PLR2004
        near = (
            "/".join(segment for segment in re.split(r"[/\\]+", text) if segment not in {"", ".", ".."}) + "/"
        )
        what = f"{shown(text)} is not a prefix: no slash in front, one at the end, no empty, . or .. part between"
        if not wrong and not text.endswith("/"):
            what = f"{shown(text)} does not end in a slash, so it would also take keys such as {shown(text[:30] + '-2/…')}"
        remedy = f"write {shown(near)}" if near != "/" else "leave prefix out to take the whole bucket"
        return complain(what, remedy, "bad-prefix")
    return ()


def region(text: str) -> tuple[Complaint, ...]:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", text):
        return ()
    return complain(
        f"{shown(text)} is not a region's name",
        "write e.g. us-east-1, the usual answer of servers that have no regions",
        "bad-value",
    )
