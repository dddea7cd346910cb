"""Rules explain buckets of the ledger; a later issue fills this room. Pure: no clock, no store."""
