"""A report over a span: its content model (``types``), how it is made from the store (``build``) and its JSON (``json``)."""
