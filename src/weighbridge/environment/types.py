"""The environment file as frozen, strict types: the one thing a user edits.

Shapes follow ``environments/*.yaml``; unknown keys are errors. The annotations carry the rules on single values and the
examples of the generated reference. Rules that cross fields live in ``environment/rules.py``; reading text, line
numbers and the YAML library live in ``environment/file.py``. What stands under ``source:`` is composed of the sources'
own models; a step's own keys are added by ``environment/sections.py``.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, create_model, model_validator

from weighbridge.environment import kubernetes_syntax, text_rules, url_rules
from weighbridge.environment.base import (
    DnsLabel,
    DnsSubdomain,
    FilePath,
    LabelKey,
    LabelValue,
    Scalar,
    SecretReference,
    Strict,
    Text,
)
from weighbridge.environment.base import EnvReference as EnvReference  # noqa: PLC0414 - part of what is read
from weighbridge.environment.base import FileReference as FileReference  # noqa: PLC0414 - likewise
from weighbridge.environment.base import Proxy as Proxy  # noqa: PLC0414 - likewise
from weighbridge.environment.base import Route as Route  # noqa: PLC0414 - likewise
from weighbridge.environment.text_rule import TextRule
from weighbridge.s3.settings import OwnKeys
from weighbridge.sources import SOURCES
from weighbridge.sources.interface import Chosen


class SourceChoice(Strict):
    """Where the weights come from: exactly one kind."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    @property
    def chosen(self) -> Chosen[Any]:
        """The kind that the file names, and what it says of it."""
        [kind] = self._named()
        return Chosen(SOURCES[kind], getattr(self, kind))

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self._named()) != 1:
            raise ValueError("exactly one kind of source is due")
        return self

    def _named(self) -> list[str]:
        return [kind for kind in SOURCES if getattr(self, kind, None) is not None]


if TYPE_CHECKING:
    Source: TypeAlias = SourceChoice
else:
    Source = create_model(
        "Source",
        __base__=SourceChoice,
        __doc__=SourceChoice.__doc__,
        __module__=__name__,
        **{
            kind: (
                source.settings | None,
                Field(default=None, description=source.description, examples=[dict(source.example)]),
            )
            for kind, source in SOURCES.items()
        },
    )


class AccessMode(StrEnum):
    """How nodes may mount the claim (Kubernetes, "Persistent Volumes", access modes)."""

    READ_WRITE_MANY = "ReadWriteMany"
    READ_WRITE_ONCE = "ReadWriteOnce"


class Storage(Strict):
    """The volume of one model: a claim of ours, or ``existing_pvc`` that somebody else owns."""

    storage_class: Annotated[DnsSubdomain | None, Field(examples=["ocs-storagecluster-cephfs"])] = None
    """StorageClass of a claim that Weighbridge makes. Either this or ``existing_pvc``."""
    size: Annotated[
        str,
        TextRule(text_rules.volume_size, rf"^auto$|{kubernetes_syntax.QUANTITY_PATTERN}"),
        Field(examples=["auto", "300Gi"]),
    ] = "auto"
    """``auto`` (computed from the real size of the files) or a Kubernetes quantity such as ``300Gi``."""
    keep: Annotated[int, Field(ge=0, le=9, examples=[1])] = 1
    """Older weight sets that the volume has room for beside the current one. Nothing removes older ones by itself yet."""
    access_mode: Annotated[AccessMode, Field(examples=["ReadWriteMany"])] = AccessMode.READ_WRITE_MANY
    """Access mode of a claim that Weighbridge makes."""
    existing_pvc: Annotated[DnsSubdomain | None, Field(examples=["example-model-pvc"])] = None
    """Name of a claim that exists already and stays its owner's."""


class Parameter(Strict):
    """One entry of a registration's ``parameters`` (IBM Software Hub 5.x, "Properties and parameters for custom
    foundation models").
    """

    default: Annotated[Scalar, Field(examples=[2048])]
    """Value that a deployment gets unless it says otherwise."""
    min: Annotated[int | float | None, Field(examples=[20])] = None
    """Smallest value that a deployment may set; for numbers."""
    max: Annotated[int | float | None, Field(examples=[4096])] = None
    """Largest value that a deployment may set; for numbers."""
    options: Annotated[tuple[Scalar, ...] | None, Field(examples=[["float16", "bfloat16"]])] = None
    """The only values that a deployment may set; all of one type, the default among them."""


class Model(Strict):
    """One custom foundation model: its weights and how it is registered."""

    id: Annotated[
        str,
        TextRule(text_rules.model_id, text_rules.MODEL_ID_PATTERN),
        Field(max_length=text_rules.MODEL_ID_LIMIT, examples=["example-13b"]),
    ]
    """``model_id`` of the registration: letters, digits and ``/ _ . -``."""
    source: Annotated[Source, Field(examples=[{"s3": {"bucket": "models", "prefix": "example-13b/"}}])]
    """Where the weights come from."""
    exclude: Annotated[
        tuple[Annotated[str, TextRule(text_rules.glob)], ...], Field(examples=[["onnx/*"]])
    ] = ()
    """Glob patterns (fnmatch, on the path within the set) of files that stay behind."""
    storage: Annotated[Storage, Field(examples=[{"storage_class": "ocs-storagecluster-cephfs"}])]
    """The volume that holds the weights."""
    routes: Annotated[tuple[Route, ...], Field(min_length=1, examples=[["fetch", "push"]])] = (
        Route.FETCH,
        Route.PUSH,
    )
    """Routes to try, in this order; each may decline with a reason. By default all that the source can take."""
    tags: Annotated[tuple[Text, ...], Field(examples=[["example", "13b"]])] = ()
    """Tags of the registration."""
    functions: Annotated[tuple[Text, ...], Field(examples=[["image_chat"]])] = ()
    """Functions of the registration; leave out for plain text models."""
    parameters: dict[Annotated[str, TextRule(text_rules.parameter_name)], Parameter] = Field(
        default_factory=dict, examples=[{"max_new_tokens": {"default": 512, "max": 2048}}]
    )
    """Parameters of the registration, by name."""

    @model_validator(mode="after")
    def _routes_of_the_source(self) -> Self:
        """Without ``routes`` those of the default that the source can take."""
        if "routes" not in self.model_fields_set:
            able = self.source.chosen.routes
            self.__dict__["routes"] = tuple(route for route in self.routes if route in able)
        return self


class Cluster(Strict):
    """Which cluster: a kubeconfig context, or the one this process runs in."""

    context: Annotated[
        Annotated[str, TextRule(text_rules.context_name)] | None, Field(examples=["stage-admin"])
    ] = None
    """Name of a kubeconfig context. Either this or ``in_cluster: true``."""
    in_cluster: Annotated[bool, Field(examples=[True])] = False
    """Use the service account of the pod that weighbridge runs in."""
    namespace: Annotated[DnsLabel, Field(examples=["cpd-instance"])]
    """The operands namespace of watsonx.ai."""
    custom_resource: Annotated[DnsSubdomain, Field(examples=["watsonxaiifm-cr"])] = "watsonxaiifm-cr"
    """Name of the Watsonxaiifm custom resource; it must exist, Weighbridge never creates it."""
    contexts: Annotated[
        dict[str, Annotated[str, TextRule(text_rules.context_name)]],
        Field(examples=[{"registration": "stage-switch"}]),
    ] = Field(default_factory=dict)
    """Another kubeconfig context for one stack: `storage` makes the claims, `registration` writes the entries (`--only switch`)."""

    def reach(self, stack: str | None) -> tuple[str | None, bool]:
        """(kubeconfig context, whether the pod's own service account is meant) for a stack, or for what belongs to none."""
        own = self.contexts.get(stack) if stack is not None else None
        return (self.context, self.in_cluster) if own is None else (own, False)


class Trust(Strict):
    """Whom to trust beside the system's certificate authorities."""

    ca_bundle: Annotated[FilePath, Field(examples=["ca.pem"])]
    """PEM file; relative paths start at the environment file's folder."""


class Platform(Strict):
    """The watsonx.ai software that the models are registered with."""

    version: Annotated[str, TextRule(text_rules.version, text_rules.VERSION_PATTERN), Field(examples=["5.2"])]
    """watsonx.ai software version as IBM names it: ``"5.2"``. Decides parameter names and limits."""
    reconcile_seconds: Annotated[int, Field(ge=10, le=86400, examples=[1800])] = 1800
    """Seconds that the operator may take to reconcile after a write before the run gives up on it."""


class State(Strict):
    """Where Pulumi keeps its state, and how secrets in it are encrypted."""

    backend: Annotated[
        str,
        TextRule(url_rules.backend, r"^(file|s3)://.+$"),
        Field(examples=["s3://platform-state/weighbridge"]),
    ]
    """``file://`` or ``s3://`` URL as Pulumi's self-managed backends take it."""
    credentials: Annotated[
        OwnKeys | None,
        Field(
            examples=[{"access_key": {"env": "STATE_ACCESS_KEY"}, "secret_key": {"env": "STATE_SECRET_KEY"}}]
        ),
    ] = None
    """For an ``s3://`` backend; by default AWS's usual chain decides (variables, profile, instance role)."""
    secrets_provider: Annotated[Literal["passphrase"], Field(examples=["passphrase"])] = "passphrase"
    """What encrypts secrets in the state."""
    passphrase: Annotated[SecretReference, Field(examples=[{"file": "/run/secrets/passphrase"}])]
    """Reference to the passphrase."""


class Toleration(Strict):
    """A Kubernetes toleration."""

    key: Annotated[LabelKey | None, Field(examples=["nvidia.com/gpu"])] = None
    """Key of the taint; leave out, with ``operator: Exists``, to tolerate every taint."""
    operator: Annotated[Literal["Exists", "Equal"], Field(examples=["Exists"])] = "Equal"
    """``Equal`` compares ``value``; ``Exists`` takes any."""
    value: Annotated[LabelValue | None, Field(examples=["present"])] = None
    """Value of the taint."""
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None, Field(examples=["NoSchedule"])
    ] = None
    """Effect of the taint; leave out for every effect."""


class Resources(Strict):
    """Requests and limits of the mover's container."""

    cpu: Annotated[Annotated[str, TextRule(text_rules.cpu)] | None, Field(examples=["500m"])] = None
    """Cores, as a Kubernetes quantity."""
    memory: Annotated[Annotated[str, TextRule(text_rules.memory)] | None, Field(examples=["512Mi"])] = None
    """Bytes, as a Kubernetes quantity."""


class Pods(Strict):
    """How our short-lived pods (movers, rsync pods) look."""

    image: Annotated[
        str, TextRule(text_rules.image), Field(examples=["registry.example.com/ubi9/python-311@sha256:…"])
    ]
    """Any image with Python 3.9 or newer (and rsync, for the push route), by digest."""
    pull_secret: Annotated[DnsSubdomain | None, Field(examples=["mirror"])] = None
    """Name of an image pull Secret in the operands namespace."""
    service_account: Annotated[DnsSubdomain | None, Field(examples=["weighbridge"])] = None
    """Service account that the pods run under."""
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, examples=[{"example.com/team": "models"}]
    )
    """Labels added to each pod."""
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, examples=[{"example.com/pool": "storage"}]
    )
    """Node labels that the pods ask for."""
    tolerations: Annotated[
        tuple[Toleration, ...], Field(examples=[[{"key": "nvidia.com/gpu", "operator": "Exists"}]])
    ] = ()
    """Taints that the pods tolerate."""
    resources: Annotated[Resources, Field(examples=[{"cpu": "500m", "memory": "512Mi"}])] = Resources()
    """Requests and limits of the mover's container."""
    start_seconds: Annotated[int, Field(ge=10, le=7200, examples=[600])] = 600
    """Seconds a pod may take to start: its volume is provisioned and its image pulled within them."""


class Environment(Strict):
    """One environment: everything that ``weighbridge VERB ENV`` needs to know."""

    name: Annotated[
        str,
        TextRule(text_rules.environment_name, kubernetes_syntax.LABEL_PATTERN),
        Field(max_length=text_rules.ENVIRONMENT_NAME_LIMIT, examples=["stage"]),
    ]
    """Part of the names and labels of its objects in the cluster. No other team may use it in this namespace: two that do
    share one record, and each plans to remove the other's entries.
    """
    cluster: Annotated[Cluster, Field(examples=[{"context": "stage-admin", "namespace": "cpd-instance"}])]
    """Which cluster and namespace."""
    trust: Annotated[Trust | None, Field(examples=[{"ca_bundle": "ca.pem"}])] = None
    """Private certificate authorities."""
    proxy: Annotated[Proxy | None, Field(examples=[{"https": "http://proxy.example.com:3128"}])] = None
    """HTTP proxies."""
    platform: Annotated[Platform, Field(examples=[{"version": "5.2"}])]
    """Which watsonx.ai software."""
    state: Annotated[
        State,
        Field(examples=[{"backend": "s3://platform-state", "passphrase": {"env": "PULUMI_PASSPHRASE"}}]),
    ]
    """Where Pulumi's state lies."""
    pods: Annotated[Pods, Field(examples=[{"image": "registry.example.com/ubi9/python-311@sha256:…"}])]
    """How our short-lived pods look."""
    models: Annotated[tuple[Model, ...], Field(min_length=1, examples=[[{"id": "example-13b"}]])]
    """The models: at least one."""
