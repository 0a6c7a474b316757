"""Train a student: from gold labels alone, or from a teacher's predictions on raw text as well."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distillex_training.config import StudentRun
from distillex_training.data.batches import length_bucketed_batches
from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.losses import marginal_cross_entropy
from distillex_training.models import ConstrainedCrf, Student, StudentConfig, load_model
from distillex_training.tagging import GoldTask, TaggingData, read_data
from distillex_training.teacher_cache import TeacherCache, label_raw_text
from distillex_training.training_loop import fit

LOG = logging.getLogger("distillex.training")


class DistillationTask(GoldTask):
    """Gold sentences, and raw sentences with the teacher's best labels and posterior marginals."""

    def __init__(self, *arguments: Any, run: StudentRun, cache: TeacherCache | None) -> None:
        super().__init__(*arguments)
        self._run = run
        self._cache = cache
        self._gold_count = len(self.sentences)
        if cache is not None:
            kept = cache.confident(run.distillation.minimum_confidence)
            LOG.info("%d of %d raw sentences kept by the teacher's confidence", len(kept), len(cache))
            self._raw_rows = kept
            raw = [Sentence(cache.text(i), tuple(GoldSpan(*span) for span in cache.spans(i))) for i in kept]
            self.sentences = [*self.sentences, *raw]

    def batches(self, epoch: int) -> list[list[int]]:
        """Return batches that are all gold or all raw, mixed in order."""
        gold = list(range(self._gold_count)) * self._run.distillation.gold_repeats
        raw = list(range(self._gold_count, len(self.sentences)))
        batches: list[list[int]] = []
        for part, indices in enumerate((gold, raw)):
            if indices:
                lengths = [len(self.sentences[i].text) for i in indices]
                loop = self.loop
                picked = length_bucketed_batches(
                    lengths, loop.batch_size, loop.max_characters, loop.seed + 1000 * part, epoch
                )
                batches += [[indices[i] for i in batch] for batch in picked]
        order = torch.randperm(
            len(batches), generator=torch.Generator().manual_seed(self.loop.seed * 100003 + epoch)
        ).tolist()
        return [batches[i] for i in order]

    def loss(self, batch: list[int], epoch: int) -> Tensor:
        """Gold likelihood, or the weighted sum of the losses against the teacher."""
        if batch[0] < self._gold_count or self._cache is None:
            return super().loss(batch, epoch)
        switches = self._run.distillation
        features = self.batch(batch, epoch)
        emissions = self.emissions(features)
        total = torch.zeros(())
        if switches.viterbi > 0:
            total = total + switches.viterbi * self.model.crf.loss(emissions, features.labels, features.mask)
        if switches.marginals > 0:
            rows = [self._raw_rows[i - self._gold_count] for i in batch]
            marginals = self._cache.marginals(rows, emissions.shape[1])
            total = total + switches.marginals * marginal_cross_entropy(
                emissions, marginals, features.mask, switches.temperature
            )
        return total


def build_student(run: StudentRun, data: TaggingData) -> tuple[Student, ConstrainedCrf]:
    """Return a new student, or the initial one that the run names."""
    crf = ConstrainedCrf(data.entity_types)
    if run.initial is not None:
        student, initial_crf, _ = load_model(run.initial)
        if not isinstance(student, Student):
            raise ValueError(f"{run.initial}: not a student")
        return student, initial_crf
    sizes = vars(run.student) | {
        "vocabulary": len(data.layout.vocabulary),
        "lexicon_types": len(data.layout.types),
        "entity_types": data.entity_types,
    }
    return Student(StudentConfig(**sizes)), crf


def distill(run: StudentRun, directory: Path, *, max_steps: int | None = None) -> dict[str, float]:
    """Train (or go on training) a student in a run directory; the best epoch is in ``directory/best``.

    Returns
    -------
    dict
        Development metrics of the best epoch.
    """
    torch.manual_seed(run.loop.seed)
    teacher_directory = run.distillation.teacher
    layout = None
    if teacher_directory is not None:
        layout = load_model(teacher_directory)[2]
    elif run.initial is not None:
        layout = load_model(run.initial)[2]
    data = read_data(run.data, word_hash_size=run.student.word_hash_size, seed=run.loop.seed, layout=layout)
    cache = None
    if teacher_directory is not None:
        cache = label_raw_text(teacher_directory, data, run.distillation.cache)
    student, crf = build_student(run, data)
    tables = sum(p.numel() for n, p in student.named_parameters() if "embedding" in n)
    everything = sum(p.numel() for p in student.parameters())
    LOG.info("student: %.2f M parameters, %.2f M of them in tables", everything / 1e6, tables / 1e6)
    groups = [
        {"params": list(student.parameters()), "lr": run.learning_rate},
        {"params": list(crf.parameters()), "lr": run.crf_learning_rate, "weight_decay": 0.0},
    ]
    task = DistillationTask(student, crf, data, run.augmentation, run.loop, groups, run=run, cache=cache)
    return fit(task, run.loop, directory, max_steps=max_steps)
