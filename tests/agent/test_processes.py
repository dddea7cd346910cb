"""One file for each process that trains: two ranks under torchrun, none for the launcher."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpuwatch.collectors.training import reader

from .conftest import environment

TRAIN = """
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Embedding(16, 4), torch.nn.Linear(4, 16)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(6):
    ids = torch.randint(0, 16, (2, 5 + dist.get_rank()))
    torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
    optimizer.step()
    optimizer.zero_grad()
dist.destroy_process_group()
"""


@pytest.mark.usefixtures("needs_torch")
def test_each_rank_of_torchrun_has_its_file_and_counts_its_own_tokens(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(tmp_path / "train.py")]
    env = environment(tmp_path / "hooks", OMP_NUM_THREADS="1")
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    found = []
    for file in (tmp_path / "hooks").iterdir():
        head = file.read_bytes()
        who, what = reader.identity(head), reader.counters(head)
        assert who is not None and what is not None
        found.append((who.rank, who.world, who.local_rank, who.data_parallel, who.replicas, who.model, what.steps, what.tokens))
    assert sorted(found) == [(0, 2, 0, 2, 1, "Sequential", 6, 5 * 2 * 5), (1, 2, 1, 2, 1, "Sequential", 6, 5 * 2 * 6)]
