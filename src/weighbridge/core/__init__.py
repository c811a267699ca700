"""The orchestrator: it plans, runs and records. It knows no step, stack or source by name."""
