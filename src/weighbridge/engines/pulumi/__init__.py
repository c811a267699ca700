"""Pulumi as an engine: it knows no stack by name."""
