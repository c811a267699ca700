"""Every way the sandbox can refuse or fail: what is wrong, and what to do about it."""

from collections.abc import Sequence

ELSEWHERE = (
    "Weighbridge does not need this sandbox: point KUBECONFIG at any cluster, name its context and any S3 endpoint "
    "in a copy of environments/sandbox.yaml, and run the same make targets with ENV=<that file>."
)


class SandboxError(Exception):
    """Base of all: `str()` is what is wrong, `advice` what would be right (may be empty)."""

    exit_code = 4

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what)
        self.advice = advice


class CannotRunHereError(SandboxError):
    """This machine lacks something that no command of ours can bring; `reasons` has one sentence for each lack."""

    exit_code = 3

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(
            "The sandbox cannot run here:" + "".join(f"\n  {reason}" for reason in self.reasons), ELSEWHERE
        )


class PortTakenError(SandboxError):
    """An address the sandbox needs is held by another program."""

    exit_code = 3


class BusyError(SandboxError):
    """Another `weighbridge-sandbox` works on the same folder now."""

    exit_code = 3


class PackagesError(SandboxError):
    """Debian packages are missing and could not be installed."""

    exit_code = 3


class BuildError(SandboxError):
    """A tool or image could not be built."""


class CommandError(SandboxError):
    """A program that the sandbox called failed or ran past its deadline."""


class NotReadyError(SandboxError):
    """A part of the cluster did not become ready before its deadline."""
