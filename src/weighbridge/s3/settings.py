"""What the environment file says of S3: keys by reference, and a folder of a bucket."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from weighbridge.environment import secret_references, url_rules
from weighbridge.environment.base import KubernetesSecretReference, SecretReference, Strict
from weighbridge.environment.node_rule import NodeRule
from weighbridge.environment.text_rule import TextRule
from weighbridge.environment.tree import Finding, Node
from weighbridge.s3 import text_rules

KEYS = secret_references.CredentialKeys(
    required=("access_key", "secret_key"),
    optional=("session_token",),
    variables={
        "access_key": "S3_ACCESS_KEY",
        "secret_key": "S3_SECRET_KEY",
        "session_token": "S3_SESSION_TOKEN",
    },
)


def _keys(node: Node) -> Iterator[Finding]:
    return secret_references.credentials(node, KEYS, secret_allowed=False)


def _keys_or_secret(node: Node) -> Iterator[Finding]:
    return secret_references.credentials(node, KEYS, secret_allowed=True)


class S3KeyPair(Strict):
    """Long-lived or session keys of an S3 user, each by reference."""

    access_key: Annotated[SecretReference, Field(examples=[{"env": "S3_ACCESS_KEY"}])]
    """Reference to the access key id."""
    secret_key: Annotated[SecretReference, Field(examples=[{"env": "S3_SECRET_KEY"}])]
    """Reference to the secret access key."""
    session_token: Annotated[SecretReference | None, Field(examples=[{"env": "S3_SESSION_TOKEN"}])] = None
    """Reference to the session token of temporary keys."""


OwnKeys: TypeAlias = Annotated[S3KeyPair, NodeRule(_keys)]
"""Keys that only this process needs."""
S3Credentials: TypeAlias = Annotated[S3KeyPair | KubernetesSecretReference, NodeRule(_keys_or_secret)]
"""Keys that pods may need as well."""


class S3Source(Strict):
    """Every object under ``prefix`` of ``bucket``; the object's key less the prefix is its path in the set."""

    FOREIGN: ClassVar[Mapping[str, str]] = {
        "url": "write endpoint: (the server), bucket: and prefix:",
        "endpoint_url": "write endpoint",
        "path": "write prefix",
        "access_key": "write it under credentials: {access_key: {env: …}, secret_key: {env: …}}",
        "secret_key": "write it under credentials: {access_key: {env: …}, secret_key: {env: …}}",
    }

    bucket: Annotated[
        str, TextRule(text_rules.bucket, r"^[A-Za-z0-9._-]{3,255}$"), Field(examples=["models"])
    ]
    """The bucket's name, not a URL."""
    prefix: Annotated[
        str, TextRule(text_rules.prefix, r"^([^/].*/)?$", may_be_empty=True), Field(examples=["example-13b/"])
    ] = ""
    """A folder of the bucket, ending in a slash; empty for the whole bucket."""
    endpoint: Annotated[
        str, TextRule(url_rules.endpoint, r"^https?://[^/@?#]+$"), Field(examples=["https://s3.example.com"])
    ]
    """Absolute http(s) URL of the server, no path."""
    region: Annotated[str, TextRule(text_rules.region), Field(examples=["eu-central-1"])] = "us-east-1"
    """Region used in signatures; servers without regions usually take the default."""
    credentials: Annotated[
        S3Credentials,
        Field(examples=[{"access_key": {"env": "S3_ACCESS_KEY"}, "secret_key": {"env": "S3_SECRET_KEY"}}]),
    ]
    """Keys by reference, or an existing Secret in the cluster with the keys ``AWS_ACCESS_KEY_ID`` and
    ``AWS_SECRET_ACCESS_KEY`` (and ``AWS_SESSION_TOKEN`` where used)."""
