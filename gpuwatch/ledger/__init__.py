"""The ledger: one exclusive account that adds up to 100 % of GPU time."""
