"""How large the hardware for a model must be: IBM's formulas, each step of the sum shown with its source. Without side effects."""
