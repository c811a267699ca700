"""Registration: our entries of the custom resource."""
