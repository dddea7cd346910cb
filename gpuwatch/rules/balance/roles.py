"""What the processes of a job are for, by their command lines: whether its GPUs are meant to do the same."""

from __future__ import annotations

import re

from gpuwatch.rules.scene import GpuSubject, JobSubject, ProcessSubject, Scene

ROLLOUT, LEARNER = "rollout", "learner"
_ROLLOUT = re.compile(r"(?<![a-z])(rollouts?|rolloutworker|actor|generator|sampler|vllm|sglang)(?![a-z])")
_LEARNER = re.compile(r"(?<![a-z])(learner|trainer|train|critic|fsdp)(?![a-z])")
_PHASES = ("prefill", "decode")
"""Servers that compute prompts and answers apart."""
_LIBRARIES = (
    "verl",
    "openrlhf",
    "nemo_rl",
    "nemo-rl",
    "rllib",
    "areal",
    "slime",
    "tianshou",
    "grpo",
    "ppo",
    "rlhf",
    "rlvr",
    "reinforce",
)


def role(process: ProcessSubject) -> str:
    """``rollout``, ``learner``, ``prefill`` or ``decode``, by the words of its command line or name; empty if none or both are there."""
    text = f"{process.facts.name} {process.facts.command}".lower()
    for word in _PHASES:
        if f"mode {word}" in text or f"mode={word}" in text or f"kv_{'producer' if word == 'prefill' else 'consumer'}" in text:
            return word
    rolls, learns = _ROLLOUT.search(text), _LEARNER.search(text)
    if rolls and learns:
        return ""
    return ROLLOUT if rolls else LEARNER if learns else ""


def roles(job: JobSubject) -> dict[int, str]:
    """The role of each GPU of a job whose holder tells one."""
    return {gpu_id: said for process in job.on_gpus if (said := role(process)) for gpu_id in process.gpu_ids}


def mixed(job: JobSubject) -> bool:
    """Whether its GPUs are meant to do different things: their loads are not to be compared."""
    said = roles(job)
    return len(set(said.values())) > 1 or (LEARNER not in said.values() and 0 < len(said) < len(job.gpus))


def is_reinforcement(job: JobSubject) -> bool:
    """Whether a job learns from its own rollouts, by its command lines: a library for it, or rollout and learner side by side."""
    if job.facts.kind == "inference" or job.facts.served:
        return False
    texts = [job.facts.command, *(process.facts.command for process in job.processes)]
    words = {word for text in texts for word in text.lower().replace("/", " ").replace(".", " ").replace("=", " ").split()}
    named = any(library == word or word.startswith((f"{library}_", f"{library}-")) for library in _LIBRARIES for word in words)
    return named or {ROLLOUT, LEARNER} <= set(roles(job).values())


def takes_turns(scene: Scene, gpu: GpuSubject) -> bool:
    """Whether a GPU is one of several of a job that learns from its own rollouts: rollout-learner-idle judges its waits."""
    return any(
        len(job.gpus) > 1 and (is_reinforcement(job) or scene.is_open("rollout-learner-idle", job)) for job in scene.jobs_on(gpu)
    )
