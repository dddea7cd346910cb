"""A model of random weights for llama.cpp: 300 000 parameters, a megabyte, the same bytes each time."""

from __future__ import annotations

from pathlib import Path

SEED = 20
CONTEXT = 4096
WIDTH, BLOCKS, INNER, HEADS, KV_HEADS = 64, 4, 256, 4, 2
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"abcdefghijklmnopqrstuvwxyz"]
"""Any text can be spelled with the bytes; a few letters, since a vocabulary without normal tokens is refused."""
UNKNOWN, CONTROL, NORMAL, BYTE = 2, 3, 1, 6
TYPES = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * 26


def make(path: Path) -> Path:
    """Write the model in the format of llama.cpp and return its path."""
    import gguf
    import numpy

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types(TYPES)
    chance = numpy.random.default_rng(SEED)
    for name, shape in _tensors():
        values = numpy.ones(shape) if len(shape) == 1 else chance.standard_normal(shape) * 0.1
        writer.add_tensor(name, values.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors() -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of each tensor; the norms are vectors."""
    kv = WIDTH // HEADS * KV_HEADS
    tensors: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (len(TOKENS), WIDTH)),
        ("output_norm.weight", (WIDTH,)),
        ("output.weight", (len(TOKENS), WIDTH)),
    ]
    for block in range(BLOCKS):
        shapes: dict[str, tuple[int, ...]] = {
            "attn_norm": (WIDTH,),
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (kv, WIDTH),
            "attn_v": (kv, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_norm": (WIDTH,),
            "ffn_gate": (INNER, WIDTH),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
        }
        tensors += [(f"blk.{block}.{name}.weight", shape) for name, shape in shapes.items()]
    return tensors
