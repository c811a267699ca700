"""The resources of our Pulumi provider, a module each."""
