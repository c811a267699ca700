"""The environment file as frozen, strict types: the one thing a user edits.

Shapes follow ``environments/*.yaml``; unknown keys are errors. Rules that cross fields live in
``domain/environment_rules.py``; reading text, line numbers and the YAML library live in
``adapters/environment_file.py``.
"""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Scalar: TypeAlias = str | int | float | bool


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EnvReference(_Strict):
    """A secret in an environment variable of the process that runs weighbridge."""

    env: str


class FileReference(_Strict):
    """A secret in a file; one trailing newline is dropped. Relative paths start at the environment file's folder."""

    file: str


SecretReference: TypeAlias = EnvReference | FileReference


class KubernetesSecretReference(_Strict):
    """An existing Secret of the operands namespace, with keys ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``
    (and ``AWS_SESSION_TOKEN`` where used)."""

    secret: str


class S3KeyPair(_Strict):
    """Long-lived or session keys of an S3 user, each by reference."""

    access_key: SecretReference
    secret_key: SecretReference
    session_token: SecretReference | None = None


S3Credentials: TypeAlias = S3KeyPair | KubernetesSecretReference


class S3Source(_Strict):
    """Every object under ``prefix`` of ``bucket``; the object's key less the prefix is its path in the set."""

    bucket: str
    prefix: str = ""
    endpoint: str
    """Absolute http(s) URL, no path."""
    region: str = "us-east-1"
    credentials: S3Credentials


class Source(_Strict):
    """Where the weights come from: exactly one kind."""

    s3: S3Source


class AccessMode(StrEnum):
    READ_WRITE_MANY = "ReadWriteMany"
    READ_WRITE_ONCE = "ReadWriteOnce"


class Storage(_Strict):
    """The volume of one model: a claim of ours, or ``existing_pvc`` that somebody else owns."""

    storage_class: str | None = None
    size: str = "auto"
    """``auto`` or a Kubernetes quantity such as ``300Gi``."""
    keep: int = Field(default=1, ge=0, le=9)
    """Older weight sets that stay on the volume beside the current one."""
    access_mode: AccessMode = AccessMode.READ_WRITE_MANY
    existing_pvc: str | None = None


class Route(StrEnum):
    FETCH = "fetch"
    PUSH = "push"


class Parameter(_Strict):
    """One entry of a registration's ``parameters`` (IBM Software Hub 5.x, "Properties and parameters for custom
    foundation models")."""

    default: Scalar
    min: int | float | None = None
    max: int | float | None = None
    options: tuple[Scalar, ...] | None = None


class Model(_Strict):
    """One custom foundation model: its weights and how it is registered."""

    id: str
    source: Source
    exclude: tuple[str, ...] = ()
    """Glob patterns (fnmatch, on the path within the set) of files that stay behind."""
    storage: Storage
    routes: tuple[Route, ...] = (Route.FETCH, Route.PUSH)
    tags: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    parameters: dict[str, Parameter] = Field(default_factory=dict)


class Cluster(_Strict):
    """Which cluster: a kubeconfig context, or the one this process runs in."""

    context: str | None = None
    in_cluster: bool = False
    namespace: str
    """The operands namespace of watsonx.ai, e.g. ``cpd-instance``."""
    custom_resource: str = "watsonxaiifm-cr"


class Trust(_Strict):
    ca_bundle: str
    """PEM file; relative paths start at the environment file's folder."""


class Proxy(_Strict):
    http: str | None = None
    https: str | None = None
    no_proxy: tuple[str, ...] = ()


class Platform(_Strict):
    version: str
    """watsonx.ai software version as IBM names it: ``"5.2"``. Decides parameter names and limits."""


class State(_Strict):
    """Where Pulumi keeps its state, and how secrets in it are encrypted."""

    backend: str
    """``file://`` or ``s3://`` URL as Pulumi's self-managed backends take it."""
    credentials: S3KeyPair | None = None
    """For an ``s3://`` backend; by default the ambient AWS chain is used."""
    secrets_provider: Literal["passphrase"] = "passphrase"
    passphrase: SecretReference


class Toleration(_Strict):
    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Resources(_Strict):
    cpu: str | None = None
    memory: str | None = None


class Pods(_Strict):
    """How our short-lived pods (movers, rsync pods) look."""

    image: str
    pull_secret: str | None = None
    service_account: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    resources: Resources = Resources()


class Environment(_Strict):
    """One environment: everything that ``weighbridge VERB ENV`` needs to know."""

    name: Annotated[str, Field(max_length=30)]
    cluster: Cluster
    trust: Trust | None = None
    proxy: Proxy | None = None
    platform: Platform
    state: State
    pods: Pods
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
