"""How many tokens and samples a model is called with, by the shapes of what it is given; nothing is read from a GPU or copied."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from .hookfile import EMBEDS, INPUT_IDS, INTEGERS, NONE, SAMPLES


def measure(args: Any, kwargs: Mapping[str, Any]) -> tuple[int, int, int]:
    """(tokens kind, tokens, samples) of what a model is called with or a batch is; shapes only, nothing is read or copied.

    ``input_ids`` count first; then the first tensor decides: integers of at most two dimensions are tokens, ``inputs_embeds`` are
    batch times length, other floats are samples (never call pixels tokens).
    """
    tensor: Any = kwargs.get("input_ids") if kwargs else None
    if tensor is None:
        first = args[0] if args else None
        if type(first) is sys.modules["torch"].Tensor:
            return _kind("", first)
        for value in args:
            if isinstance(value, Mapping) and "input_ids" in value:
                tensor = value["input_ids"]
                break
    if tensor is not None and _is_tensor(tensor):
        shape = tensor.shape
        return INPUT_IDS, tensor.numel(), shape[0] if len(shape) > 1 else 0
    return next((_kind(name, tensor) for name, tensor in _tensors((*args, kwargs), 2) if tensor.shape), (NONE, 0, 0))


def _kind(name: str, tensor: Any) -> tuple[int, int, int]:
    shape = tensor.shape
    if not shape:
        return NONE, 0, 0
    if name == "inputs_embeds" and len(shape) == 3:
        return EMBEDS, shape[0] * shape[1], shape[0]
    if len(shape) > 2 or tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == sys.modules["torch"].bool:
        return SAMPLES, 0, shape[0]
    return INTEGERS, tensor.numel(), shape[0] if len(shape) > 1 else 0


def _is_tensor(value: Any) -> bool:
    return issubclass(type(value), sys.modules["torch"].Tensor)  # not isinstance: it asks lazy proxies for their class


def _tensors(values: Any, depth: int) -> Iterator[tuple[str, Any]]:
    for value in values:
        kind = type(value)
        if _is_tensor(value):
            yield "", value
        elif depth and issubclass(kind, Mapping):
            for name, inner in value.items():
                if _is_tensor(inner):
                    yield str(name), inner
                elif issubclass(type(inner), (list, tuple, Mapping)):
                    yield from _tensors((inner,), depth - 1)
        elif depth and issubclass(kind, (list, tuple)):
            yield from _tensors(value, depth - 1)


def padding(values: Any) -> tuple[int, int] | None:
    """(tokens, of them not padding) by an ``attention_mask`` that lies in the CPU's memory; None if there is none."""
    for value in values:
        if issubclass(type(value), Mapping) and "attention_mask" in value:
            mask = value["attention_mask"]
            if _is_tensor(mask) and len(mask.shape) == 2 and mask.device.type == "cpu" and not mask.is_floating_point():
                return mask.numel(), int(mask.sum())
    return None
