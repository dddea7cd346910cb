"""Where thresholds and expected gains come from: the sources that pages and limits name as S1, S2 and so on."""

from __future__ import annotations

from collections.abc import Mapping

SOURCES: Mapping[str, str] = {
    "S1": "Gao et al., deep learning jobs with low GPU utilization, ICSE 2024 (doi 10.1145/3597503.3639232)",
    "S2": "Jeon et al., the Philly traces, USENIX ATC 2019 (arXiv 1901.05758)",
    "S3": "Weng et al., the PAI traces of Alibaba, NSDI 2022",
    "S4": "Li et al., the SuperCloud of MIT, HPCA 2022 (doi 10.1109/HPCA53966.2022.00093)",
    "S5": "NVIDIA developer blog, making GPU clusters more efficient, November 2025",
    "S6": "Lin et al., stragglers in training, OSDI 2025 (arXiv 2505.05713); ByteDance-Seed/StragglerAnalysis",
    "S7": "InternLM/AcmeTrace, utilization of two clusters (CC-BY-4.0); own quantiles",
    "S8": "the Llama 3 paper, by a note of Epoch",
    "S9": "Google Cloud, goodput, April 2024; arXiv 2502.06982; AI-Hypercomputer/ml-goodput-measurement",
    "S10": "Lei et al., arXiv 2604.04745 (abstract)",
    "S11": "Aegaeon, SOSP 2025 (summaries)",
    "S12": "PrincetonUniversity/jobstats @ dfc9aa0",
    "S13": "PrincetonUniversity/job_defense_shield @ cb31166",
    "S14": "NVIDIA DCGM, feature overview; cut-offs of KempnerPulse",
    "S15": "wseaton/gpu-pruner; neuralmagic/gpu-pruner v0.5.0",
    "S16": "awslabs/sagemaker-debugger-rulesconfig (profiler_rules)",
    "S17": "openxla/xprof (input pipeline analysis, smart suggestions)",
    "S18": "facebookresearch/HolisticTraceAnalysis (idle time breakdown)",
    "S19": "NVIDIA/DCGM @ 72fa3fe (health watches, errors)",
    "S20": "stas00/ml-engineering @ 744d01e (training, accelerators, inference)",
    "S21": "leptonai/gpud @ 4a8de33 (slowdown, temperature, persistence mode, NVLink)",
    "S22": "vllm-project/recipes @ 8959cf6",
    "S23": "sgl-project/sglang, hyperparameter tuning @ 21ff1af; the RadixAttention post of January 2024",
    "S24": "vllm-project/vllm, optimization @ 10056c1, metrics @ 0328b59, FP8",
    "S25": "triton-inference-server/server, optimization and metrics",
    "S26": "NVIDIA/open-gpu-kernel-modules issue 1122 (GPM counts cycles)",
    "S27": "pytorch/torchtitan, benchmarks on H100, December 2024 and June 2025",
    "S28": "PyTorch 2, ASPLOS 2024 (abstract)",
    "S29": "PyTorch, notes on the memory allocator",
    "S30": "ml-energy/zeus",
    "S31": "MLPerf Inference, latency constraints (a secondary table)",
    "S32": "Yang et al., SC 2024 (arXiv 2312.02741)",
}
