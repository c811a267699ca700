"""A type of resource that Weighbridge does not have, beside those that it has: the server serves it all the same."""

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from support.engine import TYPE, URN, Engine, Failure, plain
from weighbridge.engines.pulumi.provider_messages import decode
from weighbridge.errors import InputError, PreconditionError, StepFailedError
from weighbridge.provider.resource import (
    Operation,
    PartialFailureError,
    Problem,
    PropertyDifference,
    Stored,
    Values,
)
from weighbridge.provider.resources import RESOURCES
from weighbridge.provider.serving import serve

PAPER = "weighbridge:index:Paper"
PAPER_URN = f"urn:pulumi:stage::weighbridge::{PAPER}::p"
SECRET = "4dabf18193072939515e22adb298388d"
SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270"


@dataclass
class Desk:
    """Where papers lie."""

    papers: dict[str, str] = field(default_factory=dict)
    spilled: bool = False
    """Whether coffee is spilled on the paper once it is written."""
    at_once: int = 0
    most_at_once: int = 0


@dataclass(frozen=True)
class Papers:
    desk: Desk
    identifying: ClassVar = frozenset({"desk"})
    unstored: ClassVar = frozenset({"pen"})
    outcome: ClassVar = "length"
    sensitive: ClassVar = ("text", "copy")

    def schema(self) -> Mapping[str, Any]:
        return {"description": "a sheet of paper"}

    def check(self, given: Values, unknown: Collection[str]) -> tuple[Problem, ...]:
        return () if "text" in given or "text" in unknown else (Problem("text", "is required"),)

    def normalised(self, given: Values, unknown: Collection[str]) -> Values:
        return {} if "text" in unknown else {"text": str(given["text"]).strip()}

    def refuse_other(self, inputs: Values, operation: Operation) -> None:
        del operation
        if inputs["desk"] != "mine":
            raise PreconditionError("this is somebody else's desk", code="other-desk")

    def diff(self, old: Values, new: Values, unknown: Collection[str]) -> dict[str, PropertyDifference]:
        changed = "text" in unknown or old["text"] != new["text"]
        moved = {"name": PropertyDifference("update", replaces=True)} if old["name"] != new["name"] else {}
        return moved | ({"text": PropertyDifference("update")} if changed else {})

    def preview(self, old: Values | None, new: Values, operation: Operation) -> Stored:
        del old, operation
        return self._stored(new, ("length",))

    def write(self, old: Values | None, new: Values, operation: Operation) -> Stored:
        if old is None and new["name"] in self.desk.papers:
            raise PreconditionError(f"there is a paper already: {self.desk.papers[str(new['name'])]}")
        self.desk.at_once += 1
        self.desk.most_at_once = max(self.desk.at_once, self.desk.most_at_once)
        operation.clock.sleep(0.1)
        self.desk.papers[str(new["name"])] = str(new["text"])
        self.desk.at_once -= 1
        if self.desk.spilled:
            cause = StepFailedError("coffee was spilled", code="coffee", transient=True)
            raise PartialFailureError(cause, self._stored(new))
        return self._stored(new)

    def read(self, old: Values, operation: Operation) -> Stored | None:
        return self.import_(str(old["name"]), operation)

    def import_(self, identifier: str, operation: Operation) -> Stored | None:
        del operation
        text = self.desk.papers.get(identifier)
        return None if text is None else self._stored({"desk": "mine", "name": identifier, "text": text})

    def delete(self, old: Values, inputs: Values, operation: Operation) -> None:
        del inputs, operation
        self.desk.papers.pop(str(old["name"]), None)

    def lock_key(self, values: Values) -> str:
        return str(values["desk"])

    def _stored(self, values: Values, unknown: tuple[str, ...] = ()) -> Stored:
        kept = {key: value for key, value in values.items() if key not in self.unstored}
        text = str(kept["text"])
        return Stored(str(kept["name"]), kept, {**kept, "copy": text, "length": len(text)}, unknown)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def engine(desk: Desk) -> Iterator[Engine]:
    running, port = serve({**RESOURCES, PAPER: lambda: Papers(desk)}, threading.Event(), None)
    engine = Engine(port, PAPER_URN)
    engine.boot()
    try:
        yield engine
    finally:
        engine.close()
        running.stop(None).wait()


def paper(name: str = "p", text: Any = "hello", **more: Any) -> dict[str, Any]:
    return {"desk": "mine", "name": name, "text": text, **more}


def test_it_is_checked_and_normalised_by_its_module(engine: Engine) -> None:
    [failure] = engine.check({"desk": "mine", "name": "p"}).failures
    assert (failure.property, failure.reason) == ("text", "is required")
    assert engine.checked(paper(text="  hello "))["text"] == "hello"
    with pytest.raises(Failure, match="other-desk"):
        engine.check(paper(desk="another"))
    unknown = paper(desk="04da6b54-80e4-46f7-96ec-b56ff0331ba9")
    assert not engine.check(unknown).failures, "nobody asks a desk that is not known yet"


def test_it_comes_changes_is_read_and_goes(engine: Engine, desk: Desk) -> None:
    _, shown = engine.create(paper(), preview=True)
    assert (shown["text"], shown["length"], desk.papers) == (
        "hello",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        {},
    )
    identifier, state = engine.create(paper(pen="red"))
    assert (identifier, state) == (
        "p",
        {"desk": "mine", "name": "p", "text": "hello", "copy": "hello", "length": 5},
    )
    assert engine.diff(state, paper(pen="blue")).changes == provider_pb2.DiffResponse.DIFF_NONE
    assert list(engine.diff(state, paper("q")).replaces) == ["name"]
    assert list(engine.diff(state, paper(text="good bye")).diffs) == ["text"]
    after = engine.update(state, paper(text="good bye"))
    assert (after["length"], desk.papers) == (8, {"p": "good bye"})
    desk.papers["p"] = "scribbled"
    _, seen, read = engine.read("p", after, paper(text="good bye", pen="blue"))
    assert (seen["text"], read["text"], read["pen"]) == ("scribbled", "scribbled", "blue")
    assert engine.read("p")[1] == seen, "an import finds the same"
    engine.delete(seen)
    assert desk.papers == {}
    assert engine.read("p", seen)[0] == ""


def test_what_was_written_before_a_failure_is_kept(engine: Engine, desk: Desk) -> None:
    desk.spilled = True
    with pytest.raises(Failure, match="coffee was spilled") as caught:
        engine.create(paper())
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    init = caught.value.init
    assert init is not None
    assert (init.id, list(init.reasons)) == ("p", ["coffee was spilled"])
    assert plain(init.properties)["length"] == 5


def test_only_one_is_written_at_a_time_where_they_share_a_key(engine: Engine, desk: Desk) -> None:
    writers = [threading.Thread(target=engine.create, args=(paper(name),)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(10)
    assert (sorted(desk.papers), desk.most_at_once) == (["a", "b", "c"], 1)


def test_what_is_secret_is_marked_and_not_quoted(engine: Engine, desk: Desk) -> None:
    _, state = engine.create(paper(text={SECRET: SECRET_MARK, "value": "hush"}))
    assert state["text"] == state["copy"] == {SECRET: SECRET_MARK, "value": "hush"}
    assert desk.papers == {"p": "hush"}
    with pytest.raises(Failure, match="withheld because the text are secret") as caught:
        engine.create(paper(text={SECRET: SECRET_MARK, "value": "another"}))
    assert "hush" not in caught.value.message


def test_an_unknown_type_is_refused_with_those_that_there_are(engine: Engine) -> None:
    with pytest.raises(Failure) as caught:
        engine.check(paper(), "urn:pulumi:stage::weighbridge::weighbridge:index:Pencil::x")
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    error = decode(caught.value.message)
    assert isinstance(error, InputError)
    assert (error.code, error.remedy) == ("resource-type", f"there are: {TYPE}, {PAPER}")


def test_those_that_weighbridge_has_are_served_beside_it(engine: Engine) -> None:
    failures = engine.check({"token": "x"}, URN).failures
    assert "token" in [failure.property for failure in failures]
    told = json.loads(engine.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert list(told["resources"]) == [TYPE, PAPER]
    assert told["resources"][PAPER] == {"description": "a sheet of paper"}
