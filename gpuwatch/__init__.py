"""gpuwatch: where every GPU-second went, who spent it, what it cost, and what to change."""

__version__ = "0.1.0"
