"""The steps of an environment, a room each."""
