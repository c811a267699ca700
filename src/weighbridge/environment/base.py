"""What every part of the environment file is made of: strict models, texts with their rules, references to secrets.

Rooms that bring a part of the file (a source, a step's section) build on this; ``environment/types.py`` composes them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from weighbridge.environment import kubernetes_syntax, secret_references, text_rules, url_rules
from weighbridge.environment.node_rule import NodeRule
from weighbridge.environment.text_rule import TextRule

Scalar: TypeAlias = str | int | float | bool

Text: TypeAlias = Annotated[str, TextRule(text_rules.accept)]
DnsLabel: TypeAlias = Annotated[str, TextRule(text_rules.label, kubernetes_syntax.LABEL_PATTERN)]
DnsSubdomain: TypeAlias = Annotated[str, TextRule(text_rules.subdomain, kubernetes_syntax.SUBDOMAIN_PATTERN)]
LabelKey: TypeAlias = Annotated[str, TextRule(text_rules.label_key)]
LabelValue: TypeAlias = Annotated[
    str, TextRule(text_rules.label_value, kubernetes_syntax.LABEL_VALUE_PATTERN, may_be_empty=True)
]
FilePath: TypeAlias = Annotated[str, TextRule(text_rules.path)]
ProxyUrl: TypeAlias = Annotated[str, TextRule(url_rules.proxy, r"^http://[^/@?#]+$")]


class Strict(BaseModel):
    """A level of the file: frozen, its keys all known. The text below a key is for the reference alone (``reference.py``)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, defer_build=True, hide_input_in_errors=True
    )

    FOREIGN: ClassVar[Mapping[str, str]] = {}
    """Keys that other tools use here → what to write instead."""


class EnvReference(Strict):
    """A secret in an environment variable of the process that runs weighbridge."""

    env: Annotated[
        str, TextRule(text_rules.accept, r"^[A-Za-z_][A-Za-z0-9_]*$"), Field(examples=["S3_SECRET_KEY"])
    ]
    """Name of the variable."""


class FileReference(Strict):
    """A secret in a file; one trailing newline is dropped. Relative paths start at the environment file's folder."""

    file: Annotated[FilePath, Field(examples=["/run/secrets/s3-secret-key"])]
    """Path of the file."""


SecretReference: TypeAlias = Annotated[
    EnvReference | FileReference, NodeRule(secret_references.reference, "reference to a secret")
]


class KubernetesSecretReference(Strict):
    """An existing Secret of the operands namespace."""

    secret: Annotated[DnsSubdomain, Field(examples=["models-s3"])]
    """Name of the Secret."""


class Route(StrEnum):
    """How bytes reach the volume: a Job in the cluster fetches them, or this machine pushes them."""

    FETCH = "fetch"
    PUSH = "push"


class Proxy(Strict):
    """HTTP proxies on the way to the source and the platform, without credentials."""

    http: Annotated[ProxyUrl | None, Field(examples=["http://proxy.example.com:3128"])] = None
    """Proxy for http URLs."""
    https: Annotated[ProxyUrl | None, Field(examples=["http://proxy.example.com:3128"])] = None
    """Proxy for https URLs."""
    no_proxy: Annotated[
        tuple[Annotated[str, TextRule(url_rules.no_proxy)], ...], Field(examples=[[".svc", ".example.com"]])
    ] = ()
    """Hosts, domains and networks that are reached directly; this machine's loopback always is."""
