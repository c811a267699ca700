"""The same tenants of the sandbox as the end-to-end tests'."""

from e2e.conftest import estate

__all__ = ["estate"]
