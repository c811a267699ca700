"""Judge whether a source holds a model that can be served, from names, sizes, small files, first bytes and headers.
Without side effects.
"""
