"""gpuwatch: where every GPU-second went, who spent it, and what it cost in time and energy."""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gpuwatch.inject.gpuwatch_track import hf_callback as hf_callback
    from gpuwatch.inject.gpuwatch_track import lightning_callback as lightning_callback
    from gpuwatch.inject.gpuwatch_track import track as track
else:

    def __getattr__(name):
        """What a training script uses: ``gpuwatch.track`` and the callbacks, loaded when they are asked for."""
        if name in ("track", "hf_callback", "lightning_callback"):
            from gpuwatch.inject import gpuwatch_track

            return getattr(gpuwatch_track, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
