"""Weights: from their source into the volume, proven."""
