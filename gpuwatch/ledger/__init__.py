"""The ledger: one exclusive account that adds up to 100 % of GPU time."""

from gpuwatch.ledger.split import capacity, split

__all__ = ["capacity", "split"]
