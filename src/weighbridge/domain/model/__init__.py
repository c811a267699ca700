"""Is what a source holds a model that can be served? Judged from names, sizes, small files, first bytes and headers. Pure."""
