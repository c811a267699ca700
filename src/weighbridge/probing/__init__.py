"""What looking at the world is made of, for the doctor and for the steps that it asks."""
