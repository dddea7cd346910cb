"""Sealed hours: the exact rows of one closed hour and entity as compressed columns, and histograms of them."""
