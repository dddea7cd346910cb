"""Built-in sources of data: one job and one vendor library each, found through the entry points like a stranger's."""
