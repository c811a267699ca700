"""The provider under the real Pulumi engine: found on PATH, previewed, updated, refreshed, imported, destroyed."""

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from lightkube import Client, KubeConfig
from lightkube.types import PatchType
from pulumi import automation
from pulumi.automation import OpType, Stack

from support.login import ADMINISTRATOR, log_in
from weighbridge.engines.pulumi.provider_messages import decode
from weighbridge.kubernetes.client import CONFIG_MAP, Kube, connect
from weighbridge_sandbox.kube import Watsonxaiifm
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands

pytestmark = [
    pytest.mark.sandbox,
    # Pulumi's Automation API leaves its event loop open after a run that failed (automation/_server.py).
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CR = "watsonxaiifm-cr"
TYPE = "weighbridge:index:Registrations"


def entry(model_id: str, **more: Any) -> dict[str, Any]:
    location = {"pvc_name": "team-a-models", "sub_path": "summarizer"}
    return {"model_id": model_id, "location": location, **more}


@dataclass
class World:
    """One namespace, one stack with a state of its own."""

    namespace: str
    folder: Path
    other: Client
    api: Kube
    """The administrator's."""
    context: str
    entries: list[Any] = field(default_factory=list)
    adopt: list[str] = field(default_factory=list)
    secret: bool = False
    import_id: str | None = None

    @property
    def models(self) -> list[Any]:
        found = dict(self.other.get(Watsonxaiifm, CR, namespace=self.namespace))
        return cast("list[Any]", found["spec"]["custom_foundation_models"])

    def edit(self, *operations: dict[str, Any]) -> None:
        self.other.patch(Watsonxaiifm, CR, [*operations], patch_type=PatchType.JSON, namespace=self.namespace)

    def declare(self) -> None:
        inputs: dict[str, Any] = {
            "context": self.context,
            "namespace": self.namespace,
            "customResource": CR,
            "environment": "stage",
            "clusterUid": self.api.identity(),
            "entries": pulumi.Output.secret(self.entries) if self.secret else self.entries,
            "adopt": self.adopt,
        }
        options = pulumi.ResourceOptions(import_=self.import_id) if self.import_id else None
        pulumi.CustomResource(TYPE, CR, inputs, options)

    def stack(self, state: str = "state") -> Stack:
        (self.folder / state).mkdir(exist_ok=True)
        backend = automation.ProjectBackend(url=f"file://{self.folder / state}")
        settings = automation.ProjectSettings(name="weighbridge", runtime="python", backend=backend)
        environment = {
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        options = automation.LocalWorkspaceOptions(
            work_dir=str(self.folder), project_settings=settings, env_vars=environment
        )
        return automation.create_or_select_stack("stage", "weighbridge", program=self.declare, opts=options)

    def preview(self, stack: Stack, *, refresh: bool = True) -> tuple[str | None, dict[str, str]]:
        """(operation, property path → kind) of our resource."""
        seen: list[Any] = []
        stack.preview(refresh=refresh, on_event=seen.append, on_output=_quiet)
        steps = [event.resource_pre_event.metadata for event in seen if event.resource_pre_event]
        ours = [step for step in steps if step.type == TYPE and step.op is not OpType.REFRESH]
        if not ours:
            return None, {}
        details = ours[-1].detailed_diff or {}
        return ours[-1].op.value, {path: change.diff_kind.value for path, change in details.items()}

    def up(self, stack: Stack) -> dict[str, int]:
        changes = stack.up(refresh=True, on_output=_quiet).summary.resource_changes
        return {str(op): number for op, number in (changes or {}).items()}


def _quiet(_: str) -> None:
    """The CLI's screen is not looked at."""


@pytest.fixture(scope="module")
def namespace(sandbox: Layout) -> Iterator[str]:
    del sandbox
    name = f"provider-pulumi-{os.getpid() % 10000}"
    create_operands(name)
    yield name
    delete_operands(name)


@pytest.fixture
def world(sandbox: Layout, namespace: str, tmp_path: Path) -> Iterator[World]:
    other = Client(KubeConfig.from_file(sandbox.kubeconfig), field_manager="team-a", trust_env=False)
    api = connect(context=ADMINISTRATOR)
    made = World(namespace, tmp_path, other, api, log_in("stage", namespace))
    theirs = made.models
    yield made
    gc.collect()
    made.edit({"op": "replace", "path": "/spec/custom_foundation_models", "value": theirs})
    api.delete(CONFIG_MAP, "weighbridge-stage-intents", namespace)
    api.close()
    other.close()


def test_a_stack_lives_among_others(world: World) -> None:
    theirs = world.models
    stack = world.stack()
    world.entries = [
        entry("one"),
        entry("two", parameters=[{"name": "max_new_tokens", "default": 20, "min": 20}]),
    ]
    assert world.preview(stack)[0] == "create"
    assert world.models == theirs
    world.up(stack)
    assert world.models == [*theirs, *world.entries]
    assert world.preview(stack) == ("same", {})
    assert world.up(stack) == {"same": 2}

    late = {"model_id": "late", "location": {"pvc_name": "team-b-models"}}
    world.edit(
        {"op": "add", "path": "/spec/custom_foundation_models/2/tags", "value": ["edited"]},
        {"op": "add", "path": "/spec/custom_foundation_models/0", "value": late},
    )
    assert world.preview(stack) == ("update", {'entries["one"].tags': "delete"})
    assert world.up(stack) == {"same": 1, "update": 1}
    assert world.models == [late, *theirs, *world.entries]

    world.entries = [
        entry("two", parameters=[{"name": "max_new_tokens", "default": 30, "min": 20}]),
        entry("zero"),
    ]
    assert world.preview(stack) == (
        "update",
        {
            'entries["two"].parameters[0].default': "update",
            'entries["zero"]': "add",
            'entries["one"]': "delete",
        },
    )
    world.up(stack)
    assert world.models == [late, *theirs, *world.entries]

    stack.destroy(refresh=True, on_output=_quiet)
    assert world.models == [late, *theirs]


def test_a_lost_state_is_rebuilt_by_applying_again_or_by_import(world: World) -> None:
    theirs = world.models
    world.entries = [entry("one"), entry("two")]
    world.up(world.stack("first"))
    generation = _generation(world)
    world.up(world.stack("second"))
    world.import_id = f"{world.namespace}/{CR}/stage"
    stack = world.stack("third")
    assert "import" in world.up(stack)
    world.import_id = None
    assert world.preview(stack) == ("same", {})
    assert _generation(world) == generation
    stack.destroy(refresh=True, on_output=_quiet)
    assert world.models == theirs


def _generation(world: World) -> int:
    found = dict(world.other.get(Watsonxaiifm, CR, namespace=world.namespace))
    return int(found["metadata"]["generation"])


@pytest.mark.parametrize(
    "act",
    [lambda stack: stack.preview(on_output=_quiet), lambda stack: stack.up(on_output=_quiet)],
    ids=["preview", "up"],
)
def test_a_refusal_reaches_the_user_whole(world: World, act: Callable[[Stack], Any]) -> None:
    theirs = world.models
    world.entries = [entry("team-a-summarizer")]
    stack = world.stack()
    with pytest.raises(automation.CommandError) as caught:
        act(stack)
    error = decode(str(caught.value))
    assert error is not None
    assert (error.exit_code, error.code) == (3, "entry-foreign")
    assert str(error.remedy).endswith("--adopt team-a-summarizer")
    assert world.models == theirs
    world.adopt = ["team-a-summarizer"]
    world.up(stack)
    assert world.models[0] == entry("team-a-summarizer")


def test_secrets_are_encrypted_in_the_state(world: World) -> None:
    world.secret = True
    world.entries = [entry("one", tags=["hush-hush"])]
    stack = world.stack()
    world.up(stack)
    assert world.models[-1]["tags"] == ["hush-hush"]
    assert world.preview(stack) == ("same", {})
    texts = [
        path.read_text(errors="replace") for path in (world.folder / "state").rglob("*") if path.is_file()
    ]
    assert texts
    assert not any("hush-hush" in text for text in texts)
    stack.destroy(refresh=True, on_output=_quiet)
