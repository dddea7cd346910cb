"""What the agent counts of real trainings on the CPU, beside what their scripts count themselves, and where it says that the time went.

``python benchmarks/training_truth.py`` runs small trainings with the agent: plain loops, workers, accumulation, evaluation, compiled
models, two optimizers, two ranks of torchrun, and, where they are installed, the trainers of Hugging Face and Lightning. The model
is looked for after the first step, so that tokens may differ by those of that step and by nothing else; steps and evaluated tokens
may not differ. Then trainings that sleep in one place tell how long they did. ``--trl PYTHON`` names a Python that has TRL: its ``trl
sft`` trains a tiny random model made here. Needs torch. Exits 1 when a figure is off, 2 without torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parent.parent
SUPPORT = CHECKOUT / "tests" / "support"
LOOPS = (
    *(
        "plain",
        "no_loader",
        "fork_workers",
        "spawn_worker",
        "accumulation",
        "evaluation",
        "checkpoints",
        "padded",
        "two_optimizers",
    ),
    *("closure", "optimizer_in_backward", "recompute", "compiled_model", "compiled_in_place", "compiled_function"),
)
TRAINERS = ("hf", "hf_callback", "lightning", "lightning_callback")
CAUSES = {"data": 1, "other": 8, "eval": 6, "checkpoint": 5}
"""Where a training sleeps, and the phase that has to say so."""
WITHIN = 0.10

INDUCTOR = """
import sys, json
sys.path.insert(0, sys.argv[1])
import torch
from agent_child import Tiny, adam, agent_new, batches, train, agent_counts
from pathlib import Path
torch.set_num_threads(1)
sys.path.append(str(Path(sys.argv[1]).parent.parent))
agent, model = agent_new(), Tiny()
count = train(model, torch.compile(model), batches(), [adam(model)])
print(json.dumps({"steps": count.steps, "tokens": count.tokens, "first": count.first, "evaluated": 0, "agent": agent_counts(agent)}))
"""
RANK = """
import sys, json
sys.path.insert(0, sys.argv[1])
import torch, torch.distributed as dist
from agent_child import Tiny, adam, agent_new, batches, train, agent_counts
from pathlib import Path
torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())
model = torch.nn.parallel.DistributedDataParallel(Tiny())
count = train(model, model, batches(), [adam(model)])
sys.path.append(str(Path(sys.argv[1]).parent.parent))
import gpuwatch_agent
found = {"steps": count.steps, "tokens": count.tokens, "first": count.first, "evaluated": 0, "agent": agent_counts(gpuwatch_agent.AGENT)}
Path(sys.argv[2], f"rank{dist.get_rank()}").write_text(json.dumps(found))
dist.barrier()
"""
MODEL = """
import json, random, sys
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
folder = sys.argv[1]
random.seed(3)
torch.manual_seed(1)
words = ["".join(random.choices("abcdefghijklmnop", k=random.randint(2, 7))) for _ in range(500)]
texts = [" ".join(random.choices(words, k=random.randint(20, 60))) for _ in range(1000)]
tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1000, special_tokens=["<unk>", "<s>", "</s>", "<pad>"]))
fast = PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
)
fast.save_pretrained(folder + "/model")
shape = dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256)
LlamaForCausalLM(LlamaConfig(vocab_size=len(fast), **shape)).save_pretrained(folder + "/model")
open(folder + "/data/train.jsonl", "w").write("".join(json.dumps({"text": text}) + "\\n" for text in texts))
"""


class Line(NamedTuple):
    """One training: what its script and what the agent has counted; ``unseen``: tokens of the first step."""

    name: str
    steps: tuple[int, int]
    tokens: tuple[int, int]
    unseen: int
    evaluated: tuple[int, int]

    def right(self) -> bool:
        """Whether nothing but the first step is missing."""
        own, agent = self.tokens
        return self.steps[0] == self.steps[1] and own - agent == self.unseen and self.evaluated[0] == self.evaluated[1]


def environment(folder: Path) -> dict[str, str]:
    """What ``gpuwatch run`` adds, and no network."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("GPUWATCH", "PYTHONPATH"))}
    found |= {"GPUWATCH_ATTACH": "1", "GPUWATCH_DIR": str(folder / "hooks"), "PYTHONPATH": str(CHECKOUT / "gpuwatch" / "inject")}
    return found | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}


def ran(folder: Path, *command: str) -> str:
    """What a child prints."""
    done = subprocess.run(command, env=environment(folder), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and not (folder / "results").is_file():
        raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr[-2000:]}")
    return done.stdout


def results(folder: Path, child: str, *names: str) -> dict[str, Any]:
    """What a child of the tests tells of its trainings."""
    (folder / "results").unlink(missing_ok=True)
    ran(folder, sys.executable, str(SUPPORT / child), str(folder / "results"), *names)
    found: dict[str, Any] = json.loads((folder / "results").read_text(encoding="utf-8"))
    (folder / "results").unlink()
    return {name: found[name] for name in names}


def line(name: str, own: dict[str, Any]) -> Line:
    """Side by side."""
    agent = own["agent"]
    return Line(
        name,
        (own["steps"], agent["steps"]),
        (own["tokens"], agent["tokens"]),
        own["first"],
        (own["evaluated"] - own.get("before", 0), agent["eval_tokens"]),
    )


def trainings(folder: Path) -> Iterator[Line]:
    """All that can be run here."""
    for name, own in results(folder, "agent_child.py", *LOOPS).items():
        yield line(name, own)
    own = json.loads(ran(folder, sys.executable, "-c", INDUCTOR, str(SUPPORT)).splitlines()[-1])
    yield line("compiled_inductor", own)
    script = folder / "rank.py"
    script.write_text(RANK, encoding="utf-8")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    ran(folder, sys.executable, *launcher, str(script), str(SUPPORT), str(folder))
    for rank in (0, 1):
        yield line(f"torchrun, rank {rank}", json.loads((folder / f"rank{rank}").read_text(encoding="utf-8")))
    present = [name for name in TRAINERS if importlib.util.find_spec("transformers" if name.startswith("hf") else "lightning")]
    if present:
        for name, own in results(folder, "trainer_child.py", *present).items():
            yield line(name, own)


def trl(folder: Path, python: str) -> Line:
    """``trl sft`` of a tiny random model: its own count of tokens, step by step, beside the agent's."""
    (folder / "data").mkdir()
    ran(folder, python, "-c", MODEL, str(folder))
    command = (
        *("-m", "trl.scripts.sft", "--model_name_or_path", "model", "--dataset_name", str(folder / "data"), "--output_dir", "out"),
        *("--max_steps", "30", "--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2", "--max_length", "64"),
        *("--logging_steps", "1", "--include_num_input_tokens_seen", "true", "--report_to", "none", "--use_cpu", "true"),
        *("--bf16", "false", "--save_strategy", "no", "--gradient_checkpointing", "false", "--seed", "3"),
    )
    for left in (folder / "hooks").glob("*.gw"):
        left.unlink()
    said = [int(number) for number in re.findall(r"'loss'.*?'num_input_tokens_seen': '?(\d+)", ran(folder, python, *command))]
    sys.path.insert(0, str(CHECKOUT))
    from gpuwatch.collectors.training import reader

    found = [reader.counters(file.read_bytes()) for file in (folder / "hooks").glob("*.gw")]
    told = max((each for each in found if each is not None), key=lambda each: each.steps)
    return Line("trl sft", (len(said), told.steps), (said[-1], told.tokens), said[0], (0, told.eval_tokens))


def causes(folder: Path) -> Iterator[tuple[str, float, float]]:
    """(where it slept, share of its time as it says, as the agent says)."""
    for name, own in results(folder, "agent_child.py", *(f"slow_{place}" for place in CAUSES)).items():
        place = name.removeprefix("slow_")
        seconds = own["agent"]["phases"][CAUSES[place]] / 1e9 - (own["early"] if place == "data" else 0.0)
        yield place, own["slept"] / own["took"], seconds / own["took"]


def main() -> int:
    """Measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", metavar="PYTHON", action="append", default=[], help="a Python that has TRL")
    chosen = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed (scripts/test --all)", file=sys.stderr)
        return 2
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "hooks").mkdir(mode=0o700)
        print(
            f"{'training':<24}{'steps':>8}{'agent':>8}{'tokens':>10}{'agent':>10}{'differ':>8}{'step 1':>8}{'evaluated':>11}{'agent':>8}"
        )
        for each in itertools.chain(trainings(folder), (trl(folder, python) for python in chosen.trl)):
            numbers = f"{each.steps[0]:>8}{each.steps[1]:>8}{each.tokens[0]:>10}{each.tokens[1]:>10}"
            numbers += f"{each.tokens[0] - each.tokens[1]:>8}{each.unseen:>8}{each.evaluated[0]:>11}{each.evaluated[1]:>8}"
            print(f"{each.name:<24}{numbers}{'' if each.right() else '  OFF'}", flush=True)
            wrong += not each.right()
        print(f"\n{'it sleeps in':<24}{'share of the time':>20}{'agent':>10}")
        for place, truth, share in causes(folder):
            good = abs(share - truth) <= WITHIN * truth
            print(f"{place:<24}{truth:>20.3f}{share:>10.3f}{'' if good else '  OFF'}", flush=True)
            wrong += not good
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
