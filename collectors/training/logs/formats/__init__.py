"""How each framework writes, one module for one framework: text in, what it says out. The order is that of how much they tell."""

from __future__ import annotations

from gpuwatch.collectors.training.logs.formats import (
    axolotl,
    deepspeed,
    huggingface,
    llama_factory,
    megatron,
    nanochat,
    nanogpt,
    nemo,
    torchtitan,
)
from gpuwatch.collectors.training.logs.line import Format

FORMATS: tuple[Format, ...] = (
    llama_factory.FORMAT,
    torchtitan.FORMAT,
    megatron.FORMAT,
    nanochat.FORMAT,
    nemo.FORMAT,
    axolotl.FORMAT,
    huggingface.FORMAT,
    nanogpt.FORMAT,
    deepspeed.FORMAT,
)
"""One that tells more replaces one that tells less in a file that has lines of both: a trainer on top of DeepSpeed prints both."""
