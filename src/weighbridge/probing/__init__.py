"""The means to look at the world, for the doctor and for the steps that it asks."""
