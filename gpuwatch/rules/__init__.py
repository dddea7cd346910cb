"""Rules explain buckets of the ledger and never add to them. Pure: no clock, no store; they see looks (``looks.py``)."""
