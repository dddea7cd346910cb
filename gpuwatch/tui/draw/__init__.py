"""Drawing without Textual: pure functions from values to styled lines, one small module per kind of mark."""
