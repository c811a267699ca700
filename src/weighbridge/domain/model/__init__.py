"""Judge whether a source holds a model that can be served, by names, sizes, small files, first bytes and headers. Pure."""
