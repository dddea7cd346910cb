"""Device memory: nearly full, fragmented, growing (D1 to D3)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
