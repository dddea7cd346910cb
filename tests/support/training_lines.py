"""Lines as each framework prints them, one for each version whose print differs, with what they say. Written by hand after the named
source; those of transformers and TRL were printed by real runs of tiny models.
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import Kind, LogLine, Over, Per

RED, GREEN, ORANGE, TEAL, BLUE, CYAN, PINK, END = (
    "\x1b[31m", "\x1b[32m", "\x1b[38;2;180;60;0m", "\x1b[38;2;54;234;195m", "\x1b[34m", "\x1b[36m", "\x1b[35m", "\x1b[39m",
)  # fmt: skip

TORCHTITAN = {
    "torchtitan 00fbaafa6 (components/metrics.py), torchrun --tee 3": (
        (f"[rank0]:[titan] 2025-08-01 10:11:12,345 - root - INFO - {RED}step: 10  {GREEN}loss:  7.1234  {ORANGE}grad_norm:  1.2345  "
        f"{TEAL}memory: 40.12GiB(50.72%)  {BLUE}tps: 7,814  {CYAN}tflops: 1,350.12  {PINK}mfu: 35.40%{END}"),
        LogLine("torchtitan", step=10, tokens_per_second=7814.0, tokens_per=Per.DEVICE, tokens_over=Over.SINCE_LINE,
                loss=7.1234, grad_norm=1.2345, mfu=0.354),
    ),
    "torchtitan b5bcd76c6, quantised, no colours": (
        ("[titan] 2026-05-01 10:11:12,345 - root - INFO - step: 1200  loss:  2.71234  grad_norm:  0.4321  memory: 128.96GiB(72.31%)  "
        "tps: 812  tflops: 62.10  mfu: N/A"),
        LogLine("torchtitan", step=1200, tokens_per_second=812.0, tokens_per=Per.DEVICE, tokens_over=Over.SINCE_LINE,
                loss=2.71234, grad_norm=0.4321),
    ),
    "torchtitan of 2024 (train.py), words per second": (
        (f"[rank0]:2024-09-01 10:11:12,345 - root - INFO - {CYAN}step: 10  {GREEN}loss:  8.0123  \x1b[33mmemory: 30.15GiB(38.10%)  "
        f"{BLUE}wps: 3,255  {PINK}mfu: 20.10%\x1b[39m"),
        LogLine("torchtitan", step=10, tokens_per_second=3255.0, tokens_per=Per.DEVICE, tokens_over=Over.SINCE_LINE,
                loss=8.0123, mfu=0.201),
    ),
    "torchtitan 00fbaafa6, log_validation": (
        (f"[titan] 2025-08-01 10:11:12,345 - root - INFO - \x1b[33mvalidate step: 500  {GREEN}loss:  3.1234  "
        f"{TEAL}memory: 40.12GiB(50.72%)  {BLUE}tps: 20,123{END}"),
        LogLine("torchtitan", Kind.EVAL, step=500, tokens_per=Per.DEVICE, tokens_over=Over.SINCE_LINE, loss=3.1234),
    ),
    "torchtitan 00fbaafa6, the end": (
        "[titan] 2025-08-01 10:11:12,345 - root - INFO - Training completed",
        LogLine("torchtitan", Kind.END),
    ),
}  # fmt: skip

MEGATRON = {
    "Megatron-LM d98e8a64dd (megatron/training/training.py), --log-throughput": (
        (" [2025-03-01 10:00:00] iteration       10/     500 | consumed samples:         2560 | elapsed time per iteration (ms): 812.4 | "
        "throughput per GPU (TFLOP/s/GPU): 410.5 | learning rate: 1.500000E-05 | global batch size:   256 | lm loss: 1.056912E+01 | "
        "loss scale: 1.0 | grad norm: 12.345 | number of skipped iterations:   0 | number of nan iterations:   0 |"),
        LogLine("megatron", step=10, total_steps=500, samples_total=2560.0, batch_samples=256, step_seconds=0.8124,
                loss=10.56912, grad_norm=12.345),
    ),
    "Megatron-LM 003ad9f544 (megatron/training.py), without a date": (
        (" iteration      100/  500000 | consumed samples:       102400 | elapsed time per iteration (ms): 1203.9 | learning rate: "
        "1.000E-04 | global batch size:  1024 | lm loss: 6.123456E+00 | loss scale: 65536.0 | grad norm: 0.987 | "
        "number of skipped iterations:   1 | number of nan iterations:   0 |"),
        LogLine("megatron", step=100, total_steps=500000, samples_total=102400.0, batch_samples=1024, step_seconds=1.2039,
                loss=6.123456, grad_norm=0.987),
    ),
    "a fork that prints two times and tokens per second": (
        (" iteration        2/      50 | consumed samples:          256 | elapsed time per iteration (ms): 950.1/948.7 | "
        "throughput (token/sec/GPU): 8123.4 | global batch size:   128 | lm loss: 1.1E+01 |"),
        LogLine("megatron", step=2, total_steps=50, samples_total=256.0, batch_samples=128, step_seconds=0.9501,
                tokens_per_second=8123.4, tokens_per=Per.DEVICE, tokens_over=Over.SINCE_LINE, loss=11.0),
    ),
    "Megatron-LM d98e8a64dd, evaluate_and_print_results": (
        " validation loss at iteration 1000 on validation set | lm loss value: 2.171234E+00 | lm loss PPL: 8.769000E+00 | ",
        LogLine("megatron", Kind.EVAL, step=1000, loss=2.171234),
    ),
    "Megatron-LM d98e8a64dd, the end": (
        "[after training is done] datetime: 2025-03-01 12:00:00 ",
        LogLine("megatron", Kind.END),
    ),
}  # fmt: skip

NANOCHAT = {
    "nanochat 92d63d4 (scripts/base_train.py)": (
        ("step 00010/21400 (0.05%) | loss: 9.123456 | lrm: 1.00 | dt: 350.12ms | tok/sec: 1,497,453 | bf16_mfu: 45.10 | "
        "epoch: 1 pq: 0 rg: 12 | total time: 0.00m | eta: 124.8m"),
        LogLine("nanochat", step=10, total_steps=21400, tokens_per_second=1497453.0, tokens_per=Per.JOB, tokens_over=Over.ONE_STEP,
                step_seconds=0.35012, loss=9.123456, mfu=0.451),
    ),
    "nanochat of October 2025, with the norm of the gradients": (
        ("step 00999/21400 (4.67%) | loss: 3.210000 | grad norm: 0.4100 | lrm: 1.00 | dt: 401.00ms | tok/sec: 1,307,451 | mfu: 47.20 | "
        "total time: 6.60m"),
        LogLine("nanochat", step=999, total_steps=21400, tokens_per_second=1307451.0, tokens_per=Per.JOB, tokens_over=Over.ONE_STEP,
                step_seconds=0.401, loss=3.21, grad_norm=0.41, mfu=0.472),
    ),
    "nanochat 00255c194 (scripts/chat_sft.py), no number of steps": (
        "step 00007 (1.25%) | loss: 1.234567 | lrm: 1.00 | dt: 512.00ms | tok/sec: 1,024,000 | mfu: 30.00 | epoch: 1 | total time: 0.00m",
        LogLine("nanochat", step=7, tokens_per_second=1024000.0, tokens_per=Per.JOB, tokens_over=Over.ONE_STEP, step_seconds=0.512,
                loss=1.234567, mfu=0.3),
    ),
    "autoresearch, after nanochat: one line rewritten again and again": (
        "step 00042 (12.3%) | loss: 4.500000 | lrm: 1.00 | dt: 98ms | tok/sec: 5,349,877 | mfu: n/a | epoch: 1 | remaining: 251s    ",
        LogLine("nanochat", step=42, tokens_per_second=5349877.0, tokens_per=Per.JOB, tokens_over=Over.ONE_STEP, step_seconds=0.098,
                loss=4.5),
    ),
    "nanochat 92d63d4, evaluation": (
        "Step 00250 | Validation bpb: 1.123456",
        LogLine("nanochat", Kind.EVAL, step=250),
    ),
    "nanochat 92d63d4, the end": ("Total training time: 123.45m", LogLine("nanochat", Kind.END)),
}  # fmt: skip

NANOGPT = {
    "nanoGPT 3adf61e1 (train.py)": (
        "iter 100: loss 2.4530, time 118.42ms, mfu 12.20%",
        LogLine("nanogpt", step=100, step_seconds=0.11842, loss=2.453, mfu=0.122),
    ),
    "nanoGPT 3adf61e1, the first lines": (
        "iter 0: loss 10.9886, time 30728.83ms, mfu -100.00%",
        LogLine("nanogpt", step=0, step_seconds=30.72883, loss=10.9886),
    ),
    "a fork that measures no mfu": ("iter 3: loss 3.1000, time 12.00ms", LogLine("nanogpt", step=3, step_seconds=0.012, loss=3.1)),
    "nanoGPT 3adf61e1, evaluation": ("step 250: train loss 2.1034, val loss 2.1901", LogLine("nanogpt", Kind.EVAL, step=250)),
}

DEEPSPEED = {
    "DeepSpeed 038beb633 (utils/timer.py)": (
        ("[2025-01-02 03:04:05,678] [INFO] [timer.py:264:stop] epoch=0/micro_step=40/global_step=10, RunningAvgSamplesPerSec=52.13, "
        "CurrSamplesPerSec=53.01, MemAllocated=1.2GB, MaxMemAllocated=3.4GB"),
        LogLine("deepspeed", samples_per_second=53.01, samples_over=Over.ONE_STEP),
    ),
    "DeepSpeed 0.5 (utils/timer.py)": (
        "[2021-11-02 03:04:05,678] [INFO] [timer.py:157:stop] 0/10, SamplesPerSec=52.13, MemAllocated=1.2GB, MaxMemAllocated=3.4GB",
        None,
    ),
    "DeepSpeed 038beb633 (runtime/engine.py, _report_progress)": (
        "[2025-01-02 03:04:05,678] [INFO] [logging.py:128:log_dist] [Rank 0] step=10, skipped=0, lr=[1e-05, 1e-05], mom=[(0.9, 0.999)]",
        LogLine("deepspeed", step=10),
    ),
    "DeepSpeed 038beb633 (runtime/pipe/engine.py)": (
        "steps: 20 loss: 3.2101 iter time (s): 0.512 samples/sec: 62.500",
        LogLine("deepspeed", step=20, step_seconds=0.512, samples_per_second=62.5, samples_over=Over.SINCE_LINE, loss=3.2101),
    ),
}  # fmt: skip

HUGGINGFACE = {
    "transformers 5.24.0, printed by a real run": (
        ("{'loss': '3.905', 'grad_norm': '0.8734', 'learning_rate': '4.25e-05', 'epoch': '0.1667', 'num_input_tokens_seen': 640, "
        "'train_runtime': '0.2423', 'train_tokens_per_second': '2641'}"),
        LogLine("huggingface", tokens_total=640.0, tokens_name="num_input_tokens_seen", loss=3.905, grad_norm=0.8734),
    ),
    "transformers 4.57.6, printed by a real run": (
        ("{'loss': 3.9043, 'grad_norm': 0.863107442855835, 'learning_rate': 1.25e-06, 'epoch': 1.0, 'num_input_tokens_seen': 2560, "
        "'train_runtime': 0.3535, 'train_tokens_per_second': 7241.44}"),
        LogLine("huggingface", tokens_total=2560.0, tokens_name="num_input_tokens_seen", loss=3.9043, grad_norm=0.863107442855835),
    ),
    "transformers 4.57, no token count": (
        "{'loss': 3.9053, 'grad_norm': 0.8734120726585388, 'learning_rate': 4.25e-05, 'epoch': 0.17}",
        LogLine("huggingface", loss=3.9053, grad_norm=0.8734120726585388),
    ),
    "transformers 4.40, nan": (
        "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 0.0, 'epoch': 0.17}",
        LogLine("huggingface", loss=0.0),
    ),
    "TRL on transformers 5: a count in four digits": (
        ("{'loss': '2.312', 'grad_norm': '1.101', 'learning_rate': '5e-05', 'num_tokens': '1.234e+06', 'mean_token_accuracy': '0.51', "
        "'epoch': '0.1'}"),
        LogLine("huggingface", tokens_total=1234000.0, tokens_name="num_tokens (without padding)", tokens_resolution=1000.0, loss=2.312, grad_norm=1.101),
    ),
    "TRL 1.16.0 on transformers 5.24.0, printed by a real run": (
        (
            "{'loss': '3.819', 'grad_norm': '0.707', 'learning_rate': '2e-06', 'entropy': '4.155', "
            "'mean_token_accuracy': '0.002198', 'num_tokens': '5487', 'epoch': '1.1'}"
        ),
        LogLine("huggingface", tokens_total=5487.0, tokens_name="num_tokens (without padding)", loss=3.819, grad_norm=0.707),
    ),
    "TRL on transformers 4": (
        "{'loss': 2.3125, 'grad_norm': 1.1, 'learning_rate': 5e-05, 'num_tokens': 81920.0, 'mean_token_accuracy': 0.51, 'epoch': 0.1}",
        LogLine("huggingface", tokens_total=81920.0, tokens_name="num_tokens (without padding)", loss=2.3125, grad_norm=1.1),
    ),
    "transformers 5.24.0, evaluation": (
        ("{'eval_loss': '3.902', 'eval_runtime': '0.0781', 'eval_samples_per_second': '2049', 'eval_steps_per_second': '256.1', "
        "'epoch': '0.3333', 'num_input_tokens_seen': 1280}"),
        LogLine("huggingface", Kind.EVAL, loss=3.902),
    ),
    "transformers 5.24.0, the end": (
        ("{'train_runtime': '0.8931', 'train_samples_per_second': '268.7', 'train_steps_per_second': '67.18', 'train_loss': '3.902', "
        "'epoch': '1', 'num_input_tokens_seen': 3840}"),
        LogLine("huggingface", Kind.END),
    ),
    "tqdm 4.68, the bar of the training": (
        " 17%|█▋        | 10/60 [00:00<00:07,  6.82it/s]",
        LogLine("huggingface", Kind.PROGRESS, step=10, total_steps=60),
    ),
    "tqdm 4.68, a bar with a description is not the training's": ("Map: 100%|██████████| 40/40 [00:00<00:00, 325.99 examples/s]", None),
}  # fmt: skip

AXOLOTL = {
    "axolotl 013d8f073 (utils/callbacks/tokens_per_second.py)": (
        ("{'loss': 1.4012, 'grad_norm': 0.93, 'learning_rate': 0.0002, 'ppl': 4.06, 'memory/max_active (GiB)': 7.08, "
        "'tokens/train_per_sec_per_gpu': 3131.25, 'tokens/total': 1024000, 'tokens/trainable': 512000, 'epoch': 0.12}"),
        LogLine("axolotl", tokens_total=1024000.0, tokens_name="tokens/total", tokens_per_second=3131.25, tokens_per=Per.DEVICE, tokens_over=Over.ONE_STEP,
                loss=1.4012, grad_norm=0.93),
    ),
    "axolotl after PR 3072": (
        "{'loss': 1.4012, 'grad_norm': 0.93, 'learning_rate': 0.0002, 'tokens_per_second_per_gpu': 3131.25, 'epoch': 0.12}",
        LogLine("axolotl", tokens_per_second=3131.25, tokens_per=Per.DEVICE, tokens_over=Over.ONE_STEP, loss=1.4012, grad_norm=0.93),
    ),
}  # fmt: skip

LLAMA_FACTORY = {
    "LLaMA-Factory 9174a7a80 (train/callbacks.py)": (
        (
            '{"current_steps": 10, "total_steps": 100, "loss": 1.2034, "lr": 1e-05, "epoch": 0.1, "percentage": 10.0, '
            '"elapsed_time": "0:00:10", "remaining_time": "0:01:30", "throughput": 8192.0, "total_tokens": 81920}'
        ),
        LogLine("llama-factory", step=10, total_steps=100, tokens_total=81920.0, tokens_name="total_tokens", loss=1.2034),
    ),
    "LLaMA-Factory 9174a7a80, without include_num_input_tokens_seen": (
        '{"current_steps": 5, "total_steps": 100, "loss": NaN, "lr": 1e-05, "epoch": 0.05, "percentage": 5.0}',
        LogLine("llama-factory", step=5, total_steps=100),
    ),
    "LLaMA-Factory 9174a7a80, evaluation": (
        '{"current_steps": 50, "total_steps": 100, "eval_loss": 1.1, "epoch": 0.5, "percentage": 50.0}',
        LogLine("llama-factory", Kind.EVAL, step=50, total_steps=100, loss=1.1),
    ),
}

NEMO = {
    "NeMo 01f7dbc53 (lightning/pytorch/callbacks/progress_printer.py)": (
        (
            "Training epoch 0, iteration 9/99 | lr: 4.498e-06 | global_batch_size: 512 | global_step: 9 | reduced_train_loss: 10.1 | "
            "train_step_timing in s: 5.25 | consumed_samples: 5120"
        ),
        LogLine("nemo", step=9, total_steps=99, batch_samples=512, step_seconds=5.25, loss=10.1),
    ),
    "NeMo, the bar": (
        (
            "Epoch 0: :   2%|▏         | 10/500 [00:52<42:30, v_num=0, reduced_train_loss=10.10, global_step=9.000, consumed_samples=80.00, "
            "train_step_timing in s=5.250]"
        ),
        LogLine("nemo", step=9, step_seconds=5.25, loss=10.1),
    ),
    "NeMo 01f7dbc53, validation": ("Validation: iteration 1/8", LogLine("nemo", Kind.EVAL)),
}

GOLDEN = {
    "torchtitan": TORCHTITAN,
    "megatron": MEGATRON,
    "nanochat": NANOCHAT,
    "nanogpt": NANOGPT,
    "deepspeed": DEEPSPEED,
    "huggingface": HUGGINGFACE,
    "axolotl": AXOLOTL,
    "llama-factory": LLAMA_FACTORY,
    "nemo": NEMO,
}
