"""Trials that hurt a real run and look afterwards at what was lost: ``make test-faults``, ``make soak``."""
