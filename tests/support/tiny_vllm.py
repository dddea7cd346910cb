"""A model of random weights that vLLM serves on a CPU (1.3 million parameters). Run by the Python that has vLLM: ``tiny_vllm.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

SEED = 20
BYTES_BELOW = 320
"""Size of the vocabulary: 256 bytes, and room to make it a round number."""


def make(folder: Path) -> None:
    """Write weights, a byte-level tokenizer without merges and a chat template into ``folder``; the same weights each time."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=BYTES_BELOW,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=256,
        eos_token_id=257,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    fast.save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
