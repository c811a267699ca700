"""The fixed inputs of ``tests/golden/house``, and commands over a world in memory made of them."""

import contextlib
import io
import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias, cast
from unittest import mock

from support.world import World
from weighbridge import cli
from weighbridge.core.finding import Diagnosis
from weighbridge.core.session import Session
from weighbridge.domain.claims import ClaimFacts
from weighbridge.domain.weights import Receipt, SourceFile, SourceListing
from weighbridge.environment.types import Environment, Model

Data: TypeAlias = Any
"""JSON, as it is read from a file."""

HOUSE = Path(__file__).parents[1] / "golden" / "house"
INPUTS: Data = json.loads((HOUSE / "inputs.json").read_text(encoding="utf-8"))


def environments() -> tuple[Environment, ...]:
    documents = INPUTS["environments"].values()
    return tuple(Environment.model_validate(document, strict=False) for document in documents)


def listing(name: str) -> SourceListing:
    return SourceListing(tuple(SourceFile(*row) for row in INPUTS["listings"][name]))


def source(environment: Environment, model: Model) -> SourceListing:
    return listing(INPUTS["sources"][environment.name][model.id])


def receipt(name: str) -> Receipt:
    fields = INPUTS["receipts"][name]
    return Receipt(**{**fields, "damaged": tuple(fields["damaged"])})


@dataclass
class House(World):
    """The world in memory, with the manifests of the product: digests of steps follow from them."""

    def __post_init__(self) -> None:
        for model in self.environment.models:
            self.sources[model.id] = source(self.environment, model)
            if model.storage.existing_pvc is not None:
                name = model.storage.existing_pvc
                self.claims[name] = ClaimFacts(
                    name=name, uid=f"uid-{name}", phase="Bound", requested_bytes=2**40, storage_class="theirs"
                )
        super().__post_init__()


@dataclass
class Opened:
    """In place of ``wiring.Opened``: verbs over a world in memory."""

    world: World
    instead: Any = None
    """In place of the world's session."""
    diagnosed: Diagnosis | None = None
    told: dict[str, Data] = field(default_factory=dict)
    """By ``note``: name → what a command said."""
    var: Path = Path("var")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def note(self, name: str, verb: str, *options: str) -> None:
        """Run a command, and keep what it says."""
        self.told[name] = said(verb, "stage", *options, "--json", opened=self)

    @property
    def environment(self) -> Environment:
        return self.world.environment

    @property
    def session(self) -> Session:
        return cast("Session", self.instead or self.world.session())

    def diagnose(self, *, pods: bool) -> Diagnosis | None:
        assert not pods
        return self.diagnosed


def said(*arguments: str, file: str = "", opened: Opened | None = None) -> Data:
    """One command in an empty folder, with ``file`` as ``stage.yaml``: its message, less what differs from run to run."""
    out, err = io.StringIO(), io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("sys.stdin", io.StringIO()),
    ):
        Path("stage.yaml").write_text(file, encoding="utf-8")
        code = cli.run(arguments, lambda *_, **__: opened)  # type: ignore[arg-type]  # what verbs use of it
        here = str(Path.cwd())
    message = blanked(json.loads(out.getvalue().replace(here, "(folder)")))
    _sort_rules(message)
    return {"arguments": [*arguments], "exit_code": code, "message": message}


def _sort_rules(message: Data) -> None:
    """Rules are a set, as in rbac.json, and so is what follows from them one by one."""
    for rules in ("rules", "missing_rules"):
        if rules in message:
            message[rules].sort(key=lambda row: json.dumps(row, sort_keys=True))
    if "findings" in message:
        lines = (row for row in message["findings"] if row["area"] == "permissions")
        ordered = iter(sorted(lines, key=lambda row: (row["name"], row["said"])))
        message["findings"] = [
            next(ordered) if row["area"] == "permissions" else row for row in message["findings"]
        ]


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_PLANS = re.compile(r"w1\.[\w-]+")
_MEASURED = frozenset({"seconds", "max_rss_bytes", "mover_rss_bytes"})


def blanked(value: Data) -> Data:
    """``value`` less times, durations, memory and digests of plans."""
    match value:
        case dict():
            return {
                key: "(number)" if key in _MEASURED and isinstance(item, int | float) else blanked(item)
                for key, item in value.items()
            }
        case list():
            return [blanked(item) for item in value]
        case str():
            return _PLANS.sub("(plan)", _TIME.sub("(time)", value))
        case _:
            return value
