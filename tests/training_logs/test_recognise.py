"""Of which framework a file is: by lines that only one writes, and never for the log of something else."""

from __future__ import annotations

import pytest
from support.training_lines import GOLDEN

from gpuwatch.collectors.training.logs.formats import FORMATS
from gpuwatch.collectors.training.logs.line import Kind, plain
from gpuwatch.collectors.training.logs.recognise import recognise

ORDINARY = {
    "pip": """Collecting torch==2.13.0
  Downloading torch-2.13.0-cp311-none-manylinux_2_28_x86_64.whl (899.7 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 899.7/899.7 MB 12.3 MB/s eta 0:00:00
Successfully installed torch-2.13.0""",
    "nginx": """10.0.0.1 - - [02/Jan/2025:10:00:00 +0000] "GET /step:?loss=1&tps=3 HTTP/1.1" 200 612 "-" "curl/8.5.0"
2025/01/02 10:00:00 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream""",
    "pytest": """collected 3418 items
tests/test_step.py::test_loss[step: 10-loss: 3] PASSED                                               [ 10%]
======================== 3418 passed in 412.31s (0:06:52) ========================""",
    "journald": """Jan 02 10:00:00 host kernel: usb 1-1: new high-speed USB device number 2 using xhci_hcd
Jan 02 10:00:01 host systemd[1]: Started Session 1 of User root.""",
    "tqdm": """Loading checkpoint shards: 100%|██████████| 4/4 [00:05<00:00,  1.31s/it]
 45%|████▌     | 450/1000 [00:05<00:06, 88.10it/s]
Epoch 3: 100%|██████████| 938/938 [00:12<00:00, 75.12it/s, loss=0.12, acc=0.98]""",
    "vLLM": """INFO 01-02 10:00:00 [loggers.py:118] Engine 000: Avg prompt throughput: 812.4 tokens/s, Avg generation throughput: 3120.9 tokens/s,
 Running: 64 reqs, Waiting: 3 reqs, GPU KV cache usage: 41.2%, Prefix cache hit rate: 12.3%""",
    "keras": """Epoch 1/10
938/938 ━━━━━━━━━━━━━━━━━━━━ 4s 4ms/step - accuracy: 0.8912 - loss: 0.3721 - val_accuracy: 0.95 - val_loss: 0.16""",
    "lightning": """Epoch 0:  10%|█         | 10/100 [00:01<00:09,  9.53it/s, v_num=0, train_loss=2.310]
`Trainer.fit` stopped: `max_steps=100` reached.""",
    "own loops": """step 10 loss 3.21 time 0.5s
step: 20, loss: 3.1, lr: 0.001
[100] loss=2.1 tokens/s=12000
{'loss': 3.1, 'step': 4}
{"step": 10, "loss": 3.1}
iteration 10: loss 2.5
epoch 1 iter 100: loss: 2.5 time: 3""",
    "python": """Traceback (most recent call last):
  File "train.py", line 10, in <module>
    raise ValueError("iter 10: loss 3, time 4")
KeyError: "{'loss': 3"
{'a': 1, 'b': [1, 2, 3]}""",
}


@pytest.mark.parametrize("log", ORDINARY.values(), ids=ORDINARY)
def test_an_ordinary_log_is_of_no_framework(log: str) -> None:
    assert [text for text in log.splitlines() if recognise(plain(text.encode()))] == []


@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_is_recognised_by_its_training_lines_alone(name: str) -> None:
    for text, expected in GOLDEN[name].values():
        found = recognise(plain(text.encode()))
        if expected is None or expected.kind is not Kind.TRAIN:
            assert found is None, text
        elif found is None:
            assert name == "deepspeed" and expected.samples_per_second is None, text
        else:
            assert found.name == name, text


def test_a_framework_that_tells_more_replaces_one_that_tells_less_and_never_the_other_way() -> None:
    deepspeed = next(form for form in FORMATS if form.name == "deepspeed")
    lines = {name: next(iter(cases.values()))[0] for name, cases in GOLDEN.items()}
    found = recognise(plain(lines["huggingface"].encode()), deepspeed)
    assert found is not None and found.name == "huggingface"
    assert recognise(plain(lines["deepspeed"].encode()), found) is found
    assert recognise("anything else", found) is found
    better = recognise(plain(lines["axolotl"].encode()), found)
    assert better is not None and better.name == "axolotl"
    assert recognise(plain(lines["huggingface"].encode()), better) is better
