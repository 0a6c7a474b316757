"""What it gains to compute features ahead of the training step (`loop.prefetch`): time of a step with and without.

    python benchmarks/bench_prefetch.py distill student-own-data --set data.train=train.jsonl --set data.dev=dev.jsonl
    python benchmarks/bench_prefetch.py finetune teacher.yaml --threads 1 2 --steps 40 --rounds 5

All train on the same batches in alternating turns; the medians of the rounds are printed, and beside them the CPU time
of the two parts of a step, the features and the rest, which tells how much there is to gain even where the machine is
not quiet. With as many threads as cores PyTorch leaves none free for the features.
"""

from __future__ import annotations

import argparse
import functools
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from alternating import alternate
from distillex_training import processes
from distillex_training.config import StudentRun, TeacherRun, read_config
from distillex_training.config.shipped import find_config
from distillex_training.distill import student_task
from distillex_training.finetune import teacher_task
from distillex_training.prefetch import made_ahead
from distillex_training.tagging import GoldTask

AHEAD = (0, 1, 2, 4)


class Steps:
    """Some training steps that can be taken again and again."""

    def __init__(self, task: GoldTask, count: int, bf16: bool) -> None:
        self.batches = task.batches(0)[:count]
        self._task = task
        self._bf16 = bf16
        task.model.to(processes.device()).train()
        self._optimizer = torch.optim.AdamW(task.parameter_groups())

    def prepared(self, batch: list[int]) -> Any:
        """Compute a batch's features."""
        return self._task.prepare(batch, 0)

    def train(self, prepared: Any) -> None:
        """Train on a batch."""
        with torch.autocast(processes.device().type, torch.bfloat16, self._bf16):
            loss = self._task.loss(prepared)
        torch.autograd.backward(loss)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._task.after_step()

    def turn(self, ahead: int) -> float:
        """Train on all batches; returns milliseconds a step."""
        begun = time.perf_counter()
        for prepared in made_ahead(self.prepared, self.batches, ahead):
            self.train(prepared)
        return 1000 * (time.perf_counter() - begun) / len(self.batches)

    def parts(self) -> tuple[float, float]:
        """Return the milliseconds of CPU time of a step's features, and of the rest of it."""
        begun = time.process_time()
        made = [self.prepared(batch) for batch in self.batches]
        between = time.process_time()
        for each in made:
            self.train(each)
        ended = time.process_time()
        return 1000 * (between - begun) / len(made), 1000 * (ended - between) / len(made)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("distill", "finetune"))
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    settings = dict(each.split("=", 1) for each in asked.set)
    path = find_config(asked.config)
    if asked.command == "distill":
        student = read_config(path, StudentRun, settings)
        steps = Steps(student_task(student), asked.steps, student.loop.bf16)
    else:
        teacher = read_config(path, TeacherRun, settings)
        steps = Steps(teacher_task(teacher), asked.steps, teacher.loop.bf16)
    columns = (*(f"prefetch {ahead}" for ahead in AHEAD), "CPU: features", "CPU: the rest")
    print(" | ".join(("ms a step, medians", *columns)))
    for threads in asked.threads:
        torch.set_num_threads(threads)
        steps.turn(0)
        rounds = alternate([functools.partial(steps.turn, ahead) for ahead in AHEAD], asked.rounds)
        values = [*map(statistics.median, rounds), *steps.parts()]
        print(f"{asked.command}, threads {threads} | {' | '.join(f'{value:.1f}' for value in values)}", flush=True)


if __name__ == "__main__":
    main()
