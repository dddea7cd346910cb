"""axolotl: the Hugging Face line with ``tokens/train_per_sec_per_gpu`` (before: ``tokens_per_second_per_gpu``) and ``tokens/total``.

The rate is that of the last step alone, of tokens that are trained on, and was divided by the logging interval in some versions: the
difference of ``tokens/total`` goes before it. (src/axolotl/core/trainers/base.py, utils/callbacks/tokens_per_second.py)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.formats import huggingface
from gpuwatch.collectors.training.logs.line import Format, Kind, LogLine, Over, Per, positive
from gpuwatch.dataclass import replace

NAME = "axolotl"
_RATES = ("tokens/train_per_sec_per_gpu", "tokens_per_second_per_gpu")


def parse(text: str) -> LogLine | None:
    """What a line or a progress bar says."""
    if not text.endswith("}"):
        return huggingface.bar(text)
    told = huggingface.pairs(text)
    line = huggingface.of(told, NAME) if told else None
    rate = next((value for key in _RATES if (value := positive(told.get(key)))), None)
    if line is None or rate is None or line.kind is not Kind.TRAIN:
        return line
    return replace(line, tokens_per_second=rate, tokens_per=Per.DEVICE, tokens_over=Over.ONE_STEP)


FORMAT = Format(NAME, "axolotl", (("'loss': ", "'epoch': ", "_per_gpu': "),), parse)
