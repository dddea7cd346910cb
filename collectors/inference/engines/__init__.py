"""One file an engine; ``ENGINES`` in the order in which a page of an unknown process is tried."""
