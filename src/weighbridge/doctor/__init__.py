"""``weighbridge doctor``: what an apply would need, looked at piece by piece. Probing is behind ``probes.Probes``; every other
module here judges what was found, and is pure.
"""
