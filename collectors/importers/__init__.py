"""Readers of past logs: what people already have becomes rows of the store's integers, and what could not be used is named."""

from __future__ import annotations

from gpuwatch.collectors.importers.detect import detect

__all__ = ["detect"]
