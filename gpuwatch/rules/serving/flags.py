"""Every option that advice on servers names: whose it is, and against which help text it was checked, when."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple


class Flag(NamedTuple):
    """One option, variable or line of a model's configuration."""

    tool: str
    name: str
    checked_in: str
    checked_on: str


_VLLM = "vllm/engine/arg_utils.py of early 2026 and docs.vllm.ai (0.23)"
_VLLM_TUNING = "vllm docs/configuration/optimization.md @ 00620f9"
_VLLM_SLEEP = "docs.vllm.ai/en/latest/features/sleep_mode"
_SGLANG = "sglang docs/advanced_features/server_arguments.md @ 004813e"
_SGLANG_TUNING = "sglang docs/advanced_features/hyperparameter_tuning"
_TGI = "text-generation-inference docs/source/reference/launcher.md @ 032fc4c"
_LLAMA = "llama.cpp tools/server/README.md @ 00dc805"
_OLLAMA = "ollama docs/faq.mdx @ 00182b5"
_TRITON = "triton docs/user_guide/optimization.md @ 06151b8"
_ON = "2026-11-26"

FLAGS: tuple[Flag, ...] = (
    Flag("vllm", "--gpu-memory-utilization", _VLLM, _ON),
    Flag("vllm", "--kv-cache-dtype", _VLLM, _ON),
    Flag("vllm", "--max-num-seqs", _VLLM, _ON),
    Flag("vllm", "--max-num-batched-tokens", _VLLM_TUNING, _ON),
    Flag("vllm", "--max-model-len", _VLLM, _ON),
    Flag("vllm", "--quantization", _VLLM, _ON),
    Flag("vllm", "--tensor-parallel-size", _VLLM, _ON),
    Flag("vllm", "--pipeline-parallel-size", _VLLM, _ON),
    Flag("vllm", "--data-parallel-size", _VLLM, _ON),
    Flag("vllm", "--enable-prefix-caching", _VLLM, _ON),
    Flag("vllm", "--no-enable-prefix-caching", _VLLM, _ON),
    Flag("vllm", "--enable-expert-parallel", _VLLM, _ON),
    Flag("vllm", "--enable-eplb", _VLLM, _ON),
    Flag("vllm", "--speculative-config", _VLLM, _ON),
    Flag("vllm", "--enable-sleep-mode", _VLLM_SLEEP, _ON),
    Flag("vllm", "VLLM_SERVER_DEV_MODE", _VLLM_SLEEP, _ON),
    Flag("vllm", "/sleep?level=1", _VLLM_SLEEP, _ON),
    Flag("vllm", "/wake_up", _VLLM_SLEEP, _ON),
    Flag("sglang", "--mem-fraction-static", _SGLANG, _ON),
    Flag("sglang", "--schedule-conservativeness", _SGLANG_TUNING, _ON),
    Flag("sglang", "--schedule-policy", _SGLANG, _ON),
    Flag("sglang", "--kv-cache-dtype", _SGLANG, _ON),
    Flag("sglang", "--chunked-prefill-size", _SGLANG, _ON),
    Flag("sglang", "--max-running-requests", _SGLANG, _ON),
    Flag("sglang", "--quantization", _SGLANG, _ON),
    Flag("sglang", "--speculative-num-steps", _SGLANG, _ON),
    Flag("sglang", "--speculative-num-draft-tokens", _SGLANG, _ON),
    Flag("sglang", "--disable-radix-cache", _SGLANG, _ON),
    Flag("sglang", "--enable-eplb", _SGLANG, _ON),
    Flag("sglang", "--ep-size", _SGLANG, _ON),
    Flag("sglang", "--tp", _SGLANG, _ON),
    Flag("sglang", "--dp", _SGLANG, _ON),
    Flag("tgi", "--kv-cache-dtype", _TGI, _ON),
    Flag("tgi", "--max-batch-total-tokens", _TGI, _ON),
    Flag("tgi", "--max-batch-prefill-tokens", _TGI, _ON),
    Flag("tgi", "--max-concurrent-requests", _TGI, _ON),
    Flag("tgi", "--quantize", _TGI, _ON),
    Flag("tgi", "--speculate", _TGI, _ON),
    Flag("tgi", "--num-shard", _TGI, _ON),
    Flag("llama.cpp", "--cache-type-k", _LLAMA, _ON),
    Flag("llama.cpp", "--cache-type-v", _LLAMA, _ON),
    Flag("llama.cpp", "--flash-attn", _LLAMA, _ON),
    Flag("llama.cpp", "--parallel", _LLAMA, _ON),
    Flag("llama.cpp", "--ctx-size", _LLAMA, _ON),
    Flag("llama.cpp", "--sleep-idle-seconds", _LLAMA, _ON),
    Flag("llama.cpp", "--ubatch-size", _LLAMA, _ON),
    Flag("llama.cpp", "--cache-reuse", _LLAMA, _ON),
    Flag("llama.cpp", "--split-mode", _LLAMA, _ON),
    Flag("ollama", "OLLAMA_KEEP_ALIVE", _OLLAMA, _ON),
    Flag("ollama", "OLLAMA_NUM_PARALLEL", _OLLAMA, _ON),
    Flag("ollama", "OLLAMA_KV_CACHE_TYPE", _OLLAMA, _ON),
    Flag("ollama", "OLLAMA_FLASH_ATTENTION", _OLLAMA, _ON),
    Flag("ollama", "ollama stop", _OLLAMA, _ON),
    Flag("triton", "dynamic_batching { }", _TRITON, _ON),
    Flag("triton", "instance_group [ { count: 2 } ]", _TRITON, _ON),
)
