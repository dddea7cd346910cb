"""gpuwatch: where every GPU-second went, who spent it, and what it cost in time and energy."""

__version__ = "0.1.0"
