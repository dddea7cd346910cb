"""Inference servers, one declarative table an engine; a later issue fills this room."""
