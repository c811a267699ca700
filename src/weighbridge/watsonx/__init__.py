"""The platform's custom resource: our entries in a list that belongs to others."""
