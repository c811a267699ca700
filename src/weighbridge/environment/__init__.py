"""The environment file: read, typed, checked; and the values that its references lead to."""
