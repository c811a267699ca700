"""For every test: a way in for Ctrl-C, the sandbox for those that ask for it, and their order."""

import signal

import pytest
from hypothesis import settings

import weighbridge.denied  # noqa: F401 - as every entry point does: a refusal names the rule that it lacked
from support.sandbox import enter_sandbox
from weighbridge_sandbox.layout import Layout

# A shell's background job starts with SIGINT ignored, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long one example takes says nothing where other tests run at the same time.
settings.register_profile("beside-others", settings(), deadline=None)
settings.load_profile("beside-others")


@pytest.fixture(scope="session")
def sandbox() -> Layout:
    """The running sandbox; its environment becomes this process's. A machine that cannot run it fails here, and says why."""
    return enter_sandbox()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A night's folder is for the night. The sandbox's modules, which last longest, come first: of several processes that
    share the modules none is left alone with a long one at the end.
    """
    for item in items:
        if "nightly" in item.path.parts:
            item.add_marker(pytest.mark.nightly)
    items.sort(key=lambda item: "unit" in item.path.parts)
