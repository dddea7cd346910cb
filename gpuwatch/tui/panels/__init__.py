"""Parts that screens are put together from; each draws itself into a region of a ``Sheet``."""
