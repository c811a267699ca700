"""The Automation API's workspace and stack with fewer processes of the CLI: a Go start costs 0.2 s."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pulumi.automation import LocalWorkspace, OutputMap, Stack, UpdateSummary


class LeanWorkspace(LocalWorkspace):
    """Select no stack: that would cost a process and write PULUMI_HOME, and every command gets ``--stack`` anyway."""

    def select_stack(self, stack_name: str) -> None:
        del stack_name


class LeanStack(Stack):
    """Skip the three processes that the Automation API starts after an update only to read what events told."""

    def __init__(self, name: str, workspace: LeanWorkspace) -> None:
        from pulumi.automation._stack import StackInitMode  # noqa: PLC0415

        super().__init__(name, workspace, StackInitMode.SELECT)

    def outputs(self) -> OutputMap:
        return {}

    def info(self, show_secrets: bool = True) -> UpdateSummary | None:
        del show_secrets
        return UpdateSummary(
            kind="update", start_time=datetime.now(UTC), message="", environment={}, config={}, result=""
        )

    def forget_unfinished(self) -> None:
        """Remove from the state what a killed run was creating. An update then creates it, or takes it back if it exists."""
        self._run_pulumi_cmd_sync(
            ["refresh", "--clear-pending-creates", "--skip-preview", "--yes", "--suppress-outputs"]
        )

    def protect(self, urns: Sequence[str]) -> None:
        """Run ``pulumi state protect``: it changes only the state."""
        self._run_pulumi_cmd_sync(["state", "protect", *urns, "--yes"])

    def unprotect_all(self) -> None:
        """Run ``pulumi state unprotect --all``: it changes only the state."""
        self._run_pulumi_cmd_sync(["state", "unprotect", "--all", "--yes"])
