"""Storage: the claims that hold the weights."""
