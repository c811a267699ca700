"""A stand-in for IBM's IFM operator: reconciles Watsonxaiifm objects the way the documented one is seen to.

What is known, what is inferred and what is left out stands in sandbox/README-operators.md.
"""
