"""A fake NVIDIA driver for tests and benchmarks: NVML's binary interface in C, played from a flat scenario text.

The real ``nvidia-ml-py``, nvitop, gpustat or gpuwatch load it unchanged. ``README.md`` tells how to use it:

    >>> from fake_nvml import FakeDriver, of_class, fault
    >>> import subprocess, sys
    >>> with FakeDriver(of_class("hopper-h100", gpus=8), extra=[fault("lost", gpu=3)]) as fake:
    ...     command = "import pynvml; pynvml.nvmlInit(); print(pynvml.nvmlDeviceGetCount())"
    ...     subprocess.run([sys.executable, "-c", command], env=fake.env, capture_output=True, text=True).stdout
    '8\\n'
"""

from ._build import build, compiler
from ._driver import EPOCH_MS, Calls, FakeDriver
from ._scenario import CLASSES, SLOW, fault, of_class, profile, slow_driver

__all__ = ["CLASSES", "EPOCH_MS", "SLOW", "Calls", "FakeDriver", "build", "compiler", "fault", "of_class", "profile", "slow_driver"]
