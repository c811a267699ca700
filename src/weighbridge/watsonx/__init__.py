"""The platform's custom resource: our entries in somebody else's list."""
