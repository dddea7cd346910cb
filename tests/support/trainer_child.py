"""Real trainings by Hugging Face's and Lightning's trainers in one process, for tests: the same twice, with and without the agent.

``trainer_child.py RESULTS CONFIGURATION ...`` writes one JSON object: per configuration what the script itself has counted, in its
model's ``forward``, a digest of the final weights, and, where the agent is loaded, what the agent has counted.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parent))
from agent_child import Count, Tiny, Words, agent_counts, agent_new, digest, loss_of  # type: ignore[import-not-found]

ACCUMULATION = 2
WORDS = 64


class Counted(Count):  # type: ignore[misc]
    """Counts what the model is called with: apart while nothing is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.micro: list[int] = []
        self.before = 0
        """Evaluated before the first step (Lightning's sanity check): nobody looks yet."""
        self.reported: dict[str, Any] = {}

    def called(self, ids: torch.Tensor) -> None:
        if torch.is_grad_enabled():
            self.micro.append(ids.numel())
        else:
            self.evaluated += ids.numel()
            self.before += ids.numel() * (not self.micro)

    def done(self, model: torch.nn.Module, steps: int) -> Counted:
        self.model, self.steps, self.tokens, self.first = model, steps, sum(self.micro), sum(self.micro[:ACCUMULATION])
        return self


def padded(items: list[list[int]]) -> dict[str, torch.Tensor]:
    longest = max(map(len, items))
    ids = torch.tensor([item + [0] * (longest - len(item)) for item in items])
    mask = torch.tensor([[1] * len(item) + [0] * (longest - len(item)) for item in items])
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def texts(number: int, seed: int) -> list[list[int]]:
    """Of 3 to 12 words."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 13, (number,), generator=generator).tolist()
    return [torch.randint(1, WORDS, (length,), generator=generator).tolist() for length in lengths]


def hugging_face(callback: bool, seen: str = "no", steps: int = 8) -> Counted:
    """Padded batches, accumulation, an evaluation and a checkpoint every 4 steps."""
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    count = Counted()

    class Model(GPT2LMHeadModel):  # type: ignore[misc]
        def forward(self, input_ids: torch.Tensor, **rest: Any) -> Any:
            count.called(input_ids)
            return super().forward(input_ids, **rest)

    model = Model(GPT2Config(vocab_size=WORDS, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=4,
            per_device_eval_batch_size=4,
            gradient_accumulation_steps=ACCUMULATION,
            max_steps=steps,
            eval_strategy="steps",
            eval_steps=4,
            save_steps=4,
            logging_steps=2,
            include_num_input_tokens_seen=seen,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            seed=7,
        )
        ours = [sent(tracking().hf_callback())] if callback else []
        trainer = Trainer(model, arguments, padded, texts(64, 1), texts(12, 2), callbacks=ours)
        trainer.train()
        count.reported = {"seen": trainer.state.num_input_tokens_seen, "max_steps": trainer.state.max_steps}
        count.reported["losses"] = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return count.done(model, trainer.state.global_step)


def lightning(callback: bool, declares: bool = False) -> Counted:
    """Accumulation, a validation every 8 batches, a checkpoint every 6 steps."""
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import ModelCheckpoint

    count = Counted()

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = Tiny()

        def loss(self, batch: torch.Tensor) -> torch.Tensor:
            count.called(batch)
            return loss_of(self.net(batch), batch)  # type: ignore[no-any-return]

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            return self.loss(batch)

        def validation_step(self, batch: torch.Tensor, index: int) -> None:
            self.log("val_loss", self.loss(batch))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    module = Module()
    with tempfile.TemporaryDirectory() as folder:
        ours = [sent(tracking().lightning_callback(torch.numel if declares else None))] if callback else []
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=2,
            accumulate_grad_batches=ACCUMULATION,
            val_check_interval=8,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[ModelCheckpoint(dirpath=folder, every_n_train_steps=6), *ours],
        )
        trainer.fit(module, DataLoader(Words(64), batch_size=4), DataLoader(Words(12), batch_size=4))
    return count.done(module, trainer.global_step)


def tracking() -> Any:
    """The file beside the agent's, or on a machine without an agent the same one."""
    sys.path.append(str(Path(__file__).resolve().parents[2] / "gpuwatch" / "inject"))
    import gpuwatch_track  # type: ignore[import-not-found,unused-ignore]

    return gpuwatch_track


def sent(callback: Any) -> Any:
    """As frameworks send their callbacks about."""
    return pickle.loads(pickle.dumps(copy.deepcopy(callback)))


CONFIGURATIONS: dict[str, Callable[[], Counted]] = {
    "hf": functools.partial(hugging_face, False),
    "hf_callback": functools.partial(hugging_face, True),
    "hf_seen": functools.partial(hugging_face, True, "all"),
    "hf_seen_without": functools.partial(hugging_face, True, "non_padding"),
    "lightning": functools.partial(lightning, False),
    "lightning_callback": functools.partial(lightning, True),
    "lightning_tokens": functools.partial(lightning, True, True),
}


def main() -> None:
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for name in sys.argv[2:] or CONFIGURATIONS:
        torch.manual_seed(7)
        print("---", name, flush=True)
        print("---", name, file=sys.stderr, flush=True)
        agent = agent_new()
        count = CONFIGURATIONS[name]()
        found = {key: getattr(count, key) for key in ("steps", "tokens", "first", "evaluated", "before", "reported")}
        results[name] = found | {"weights": digest(count.model), "agent": agent_counts(agent)}
    Path(sys.argv[1]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    os.environ["TRANSFORMERS_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
    main()
