"""``weighbridge doctor``: check what an apply would need, one item after another. ``probes.Probes`` does the probing.
Every other module here judges what was found, without side effects.
"""
