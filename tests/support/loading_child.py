"""A real PyTorch training on the CPU whose loader runs in its own process; ``python loading_child.py FILE SECONDS``.

Each batch takes ``SECONDS`` to transform (0: the tuned twin); a step computes for 50 ms. What it waited and how long its steps took, by
its own clock, stands in FILE, a line a step: unix seconds, seconds waited, seconds of the step.
"""

from __future__ import annotations

import sys
import time

import torch

ROWS, WIDTH, STEP_SECONDS = 8, 32, 0.05


class Slow(torch.utils.data.Dataset[torch.Tensor]):
    """Rows that cost time to transform."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return 1 << 20

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.seconds:
            time.sleep(self.seconds / ROWS)
        return torch.full((WIDTH,), float(index % 7))


class Model(torch.nn.Module):
    """A layer, and the time that a GPU would take."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        time.sleep(STEP_SECONDS)
        return self.layer(rows)


def main() -> None:
    """Train until the process is ended."""
    torch.set_num_threads(1)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    loader = torch.utils.data.DataLoader(Slow(float(sys.argv[2])), batch_size=ROWS, num_workers=0)
    with open(sys.argv[1], "w", buffering=1, encoding="ascii") as said:
        batches = iter(loader)
        while True:
            began = time.perf_counter()
            rows = next(batches)
            waited = time.perf_counter() - began
            optimizer.zero_grad()
            (model(rows) ** 2).mean().backward()
            optimizer.step()
            said.write(f"{time.time():.3f} {waited:.6f} {time.perf_counter() - began:.6f}\n")


if __name__ == "__main__":
    main()
