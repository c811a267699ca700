"""The orchestrator: plans, runs and remembers. It knows no step, stack or source by name."""
