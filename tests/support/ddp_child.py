"""A tiny language model trained by all ranks of a torchrun until it is ended: ``ddp_child.py FOLDER``. Each rank says there who it is and,
with every step, how many it has made and how many tokens it has eaten.
"""

import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

BATCH, LENGTH = 4, 32


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    (folder / f"rank{rank}.pid").write_text(str(os.getpid()))
    model = DistributedDataParallel(nn.Sequential(nn.Embedding(64, 16), nn.Linear(16, 64)))
    optimizer = torch.optim.AdamW(model.parameters())
    step = 0
    while True:
        ids = torch.randint(0, 64, (BATCH, LENGTH))
        time.sleep(0.02)
        loss = nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        with open(folder / f"rank{rank}.steps", "a") as told:
            told.write(f"{time.time()} {step} {step * BATCH * LENGTH}\n")


main()
