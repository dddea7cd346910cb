"""What a model's name and its server's command line say of its size and its precision. Guesses, and told as such."""

from __future__ import annotations

import re

from gpuwatch.rules.looks import JobFacts
from gpuwatch.rules.serving.page import option

_MANY = re.compile(r"(?<![\w.])(\d+)\s*x\s*(\d+(?:\.\d+)?)\s*b(?![a-z])", re.IGNORECASE)
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*b(?![a-z])", re.IGNORECASE)
_EIGHT = ("fp8", "int8", "w8a8", "8bit", "q8_0", "-8bit")
_FOUR = ("awq", "gptq", "int4", "w4a", "4bit", "nvfp4", "mxfp4", "q4_", "iq4", "nf4", "fp4")
_BORN_EIGHT = re.compile(r"deepseek[-_ ]?(v3|r1)(?!.*distill)|kimi[-_ ]?k2", re.IGNORECASE)
_BORN_FOUR = re.compile(r"gpt[-_ ]?oss", re.IGNORECASE)
"""Models whose makers publish them in fewer than 16 bits, without a word of it in the name."""
_QUANTIZATION = ("--quantization", "-q", "--quantize")
_TENSOR_PARALLEL = ("--tensor-parallel-size", "-tp", "--tp", "--tp-size", "--num-shard", "--tp_size")


def parameters(facts: JobFacts) -> float | None:
    """How many parameters the name tells (``llama-3-8b``: 8e9; ``8x7b``: 56e9); ``None`` if none."""
    for text in (facts.model, facts.command):
        name = text.replace("_", "-").replace("-", " ").replace("/", " ")
        if (found := _MANY.search(name)) is not None:
            return int(found.group(1)) * float(found.group(2)) * 1e9
        if (sizes := [float(size) for size in _SIZE.findall(name)]) and max(sizes) > 0:
            return max(sizes) * 1e9
    return None


def weight_bytes(facts: JobFacts) -> float:
    """Bytes of a weight: 2 unless the name or an option says otherwise."""
    said = f"{facts.model} {option(facts.command, *_QUANTIZATION)}".lower()
    if any(word in said for word in _FOUR):
        return 0.5
    if any(word in said for word in _EIGHT):
        return 1.0
    if "bf16" in said or "16bit" in said:
        return 2.0
    return 0.5 if _BORN_FOUR.search(said) else 1.0 if _BORN_EIGHT.search(said) else 2.0


def quantized(facts: JobFacts) -> bool:
    """Whether its weights have fewer than 16 bits, by its name or an option."""
    return weight_bytes(facts) < 2 or bool(option(facts.command, *_QUANTIZATION))


def tensor_parallel(command: str) -> int:
    """Over how many GPUs each layer is split, by the command line; 1 if it does not say."""
    value = option(command, *_TENSOR_PARALLEL)
    return int(value) if value.isascii() and value.isdigit() and 0 < len(value) < 4 else 1
