"""Weights: bring them from their source into the volume, and verify them."""
