"""Stack programs under Pulumi's own mocks: what the engine would be asked for."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.protobuf.json_format import MessageToDict
from pulumi.runtime import settings
from pulumi.runtime.mocks import MockCallArgs, MockEngine, MockMonitor, MockResourceArgs, Mocks, MockSettings
from pulumi.runtime.stack import run_in_stack

MOCKS = ThreadPoolExecutor(1, initializer=lambda: asyncio.set_event_loop(asyncio.new_event_loop()))
"""Pulumi's mocks want an event loop of their thread that lasts; other tests take the main thread's away."""

ROOT = "pulumi:pulumi:Stack"


class Echo(Mocks):
    """A cluster where everything succeeds."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", args.inputs

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"a program of ours calls nothing: {args.token}")


class Declared(MockMonitor):
    """Keeps every request as the engine would get it, in the order of the program."""

    def __init__(self) -> None:
        super().__init__(Echo())
        self.requests: dict[str, Any] = {}
        self.urns: dict[str, str] = {}
        self.exports: dict[str, Any] = {}

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """As the engine makes it: the stack itself, parent of everything, is not part of a resource's type."""
        mine = "" if parent.split("::")[2:3] == [ROOT] else parent
        urn: str = super().make_urn(mine, type_, name)
        return urn

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        answer: Any = super().RegisterResource(request)  # type: ignore[no-untyped-call]  # likewise
        if request.type != ROOT:
            self.requests[request.name], self.urns[request.name] = request, answer.urn
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if f"::{ROOT}::" in request.urn:
            self.exports |= MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]  # likewise

    def inputs(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = MessageToDict(self.requests[name].object)
        return found


def declared(program: Callable[[], None], project: str = "project", stack: str = "stack") -> Declared:
    """What ``program`` declares, run as the Automation API runs it."""

    def declare() -> Declared:
        monitor = Declared()
        engine = MockEngine(None)
        settings.configure(
            MockSettings(  # type: ignore[no-untyped-call]  # likewise
                monitor=monitor, engine=engine, project=project, stack=stack, dry_run=False, organization=None
            )
        )
        asyncio.get_event_loop().run_until_complete(run_in_stack(program))
        return monitor

    return MOCKS.submit(contextvars.Context().run, declare).result()
