"""Fine-tune a teacher whose head scores spans in place of labels, and label text with it.

All but the last layer is that of a CRF's teacher, so that the two can be compared.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from distillex_matcher import FeatureLayout, Featurizer, LabelScheme
from distillex_matcher.exported import CONFIG_FILE, WEIGHTS_FILE
from distillex_matcher.layout import write_atomically
from safetensors.torch import load_file
from torch import Tensor, nn

from distillex_training.config import TeacherRun
from distillex_training.config.values import Rate, Size, Switch, settings
from distillex_training.data.batches import length_bucketed_batches, make_batch
from distillex_training.data.labelled import Sentence
from distillex_training.data.run_files import labelled_files
from distillex_training.data.substitution import unchanged
from distillex_training.errors import ConfigError, ModelDirectoryError, NotFiniteError
from distillex_training.finetune import layerwise_groups, new_teacher
from distillex_training.models import ConstrainedCrf, Student, Teacher, TeacherConfig
from distillex_training.models.directory import write_weights
from distillex_training.models.global_pointer import (
    EfficientGlobalPointer,
    best_spans,
    gold_spans,
    multilabel_loss,
    span_bounds,
)
from distillex_training.run_directory import train_in
from distillex_training.scored_span import ScoredSpan
from distillex_training.tagging import GoldTask, read_data

KIND = "span_teacher"
CHARACTERS_AT_ONCE = 2048
"""Padded characters of a batch that is labelled: the scores of spans grow with the square of a sentence's length."""


@settings(frozen=True)
class SpanHeadRun(TeacherRun):
    """A :class:`TeacherRun` with a span head; ``crf_learning_rate`` has no effect."""

    span_width: Size = 64
    """Of query and key; even."""
    span_learning_rate: Rate = 2e-3
    """Of the span head."""
    loss_by_type: Switch = False
    """A row of the loss for each sentence and type, as published, in place of one for each sentence."""


class SpanTeacher(Teacher):
    """Features → scores of spans; its last layer is an :class:`EfficientGlobalPointer`."""

    def __init__(self, config: TeacherConfig, encoder: nn.Module | None = None, span_width: int = 64) -> None:
        super().__init__(config, encoder)
        self.span_width = span_width
        self.tag = EfficientGlobalPointer(config.head, len(config.entity_types), span_width)

    def forward_with_hidden(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Score the spans of the characters. *Shape:* [B, S, types], and of all tokens [B, T, hidden_size]."""
        features, hidden = self.features(input_ids, lexicon_types, lexicon_words, lexicon_weights)
        scores: Tensor = self.tag(features[:, 1:-1])
        return scores, hidden


class SpanTask(GoldTask):
    """Lift the gold spans above 0 and hold all others below; sentences and overlays are those of the CRF's task."""

    loss_by_type = False

    def loss(self, prepared: Any) -> Tensor:
        """Return the mean loss of the sentences, or of their types."""
        features = prepared.to(self.device)
        scores: Tensor = self.model.tagger(*features.inputs)
        gold = gold_spans(features.labels, self.model.crf.scheme)
        _, last = span_bounds(features.mask.shape[1], scores.device)
        counted = features.mask[:, last].unsqueeze(-1).expand_as(scores)
        rows = (
            (tensor.transpose(1, 2) if self.loss_by_type else tensor.flatten(1)) for tensor in (scores, gold, counted)
        )
        with torch.autocast(scores.device.type, enabled=False):
            return multilabel_loss(*rows).mean()

    def predict(
        self,
        sentences: Sequence[Sentence],
        tagger: Student | Teacher,
        crf: ConstrainedCrf,  # noqa: ARG002
    ) -> list[list[ScoredSpan]]:
        """Return what a span teacher finds with the base lexicon."""
        assert isinstance(tagger, SpanTeacher)
        return label_texts(tagger, self.featurizer, [sentence.text for sentence in sentences])

    def saved(self, directory: Path) -> tuple[SpanTeacher, ConstrainedCrf]:
        """Read what :meth:`save` wrote, to where it is trained; the CRF is the task's, for its scheme."""
        return load_span_teacher(directory)[0].to(self.device), self.model.crf

    def save(self, directory: Path) -> None:
        """Write a model directory that :func:`load_span_teacher` reads."""
        teacher = self.model.tagger
        assert isinstance(teacher, SpanTeacher)
        save_span_teacher(directory, teacher, self.data.layout)


def label_texts(
    teacher: SpanTeacher,
    featurizer: Featurizer,
    texts: Sequence[str],
    *,
    least_probability: float = 0.5,
    batch_size: int = 32,
) -> list[list[ScoredSpan]]:
    """Return what a teacher finds in each text, with probabilities: labels for a student.

    Raises
    ------
    NotFiniteError
        For scores that are not finite.
    """
    scheme = LabelScheme(teacher.config.entity_types)
    device = next(teacher.parameters()).device
    training = teacher.training
    teacher.eval()
    found: list[list[ScoredSpan]] = [[] for _ in texts]
    lengths = [len(text) for text in texts]
    for rows in length_bucketed_batches(lengths, batch_size, CHARACTERS_AT_ONCE, 0, 0) if texts else ():
        batch = make_batch(featurizer, scheme, [unchanged(Sentence(texts[row], ())) for row in rows]).to(device)
        with torch.no_grad():
            scores = teacher(*batch.inputs).float()
        if not torch.isfinite(scores).all():
            raise NotFiniteError("the teacher's scores are no finite numbers: its weights are damaged")
        spans = best_spans(
            scores, batch.mask.sum(dim=1), teacher.config.entity_types, least_probability=least_probability
        )
        for row, of_text in zip(rows, spans, strict=True):
            found[row] = of_text
    teacher.train(training)
    return found


def save_span_teacher(directory: Path, teacher: SpanTeacher, layout: FeatureLayout) -> None:
    """Write a model directory; ``load_model`` refuses it by its kind, since no CRF decodes it."""
    config = {"format": 1, "kind": KIND, "span_width": teacher.span_width, **dataclasses.asdict(teacher.config)}
    directory.mkdir(parents=True, exist_ok=True)
    layout.save(directory)
    write_weights(directory, teacher.state_dict())
    write_atomically(directory / CONFIG_FILE, json.dumps(config, ensure_ascii=False, indent=1) + "\n")


def load_span_teacher(directory: Path) -> tuple[SpanTeacher, FeatureLayout]:
    """Read what :func:`save_span_teacher` wrote; the teacher is in evaluation mode.

    Raises
    ------
    ModelDirectoryError
        For the directory of another kind of model.
    """
    config: dict[str, Any] = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
    if config.get("kind") != KIND:
        raise ModelDirectoryError(f"{directory}: kind {config.get('kind')!r}; {KIND!r} is expected")
    sizes = {key: value for key, value in config.items() if key not in ("format", "kind", "span_width")}
    sizes["entity_types"] = tuple(sizes["entity_types"])
    teacher = SpanTeacher(TeacherConfig(**sizes), span_width=config["span_width"])
    teacher.load_state_dict(load_file(directory / WEIGHTS_FILE))
    return teacher.eval(), FeatureLayout.load(directory)


def finetune_spans(run: SpanHeadRun, directory: Path, *, max_steps: int | None = None) -> dict[str, float]:
    """Fine-tune (or go on fine-tuning) a teacher with a span head; as :func:`~distillex_training.finetune.finetune`.

    Raises
    ------
    ConfigError
        For settings that a span head does not know, and training data that are not labelled wholly.
    RunDirectoryError
        For a directory that holds another run.
    """
    for name, given in (
        ("init_from", run.init_from is not None),
        ("adversarial", run.adversarial > 0),
        ("distillation.teacher", run.distillation.teacher is not None),
        ("distillation.labels", bool(run.distillation.labels)),
    ):
        if given:
            raise ConfigError(f"{name}: not with a span head")
    _check_whole(run)
    return train_in(directory, run, lambda: _task(run), tested=bool(run.data.test), max_steps=max_steps)


def _check_whole(run: SpanHeadRun) -> None:
    """Refuse training data that the loss of spans would take for more than it says.

    Raises
    ------
    ConfigError
        For a weight, an entity of several types or an open stretch, naming file and line; for word pieces.
    """
    if run.word_pieces:
        raise ConfigError("word_pieces is true; a span head reads characters alone: false is accepted")
    accepted = "a span head learns from sentences of weight 1 whose entities have one type each and are all labelled"
    for corpus, file in zip(run.data.train, labelled_files(run.data.train, run.data.types), strict=True):
        if corpus.weight != 1.0:
            raise ConfigError(f"data.train: {corpus.path} has weight {corpus.weight:g}; {accepted}")
        for record in file.records(run.data.types).records:
            several = next((span for span in record.spans if span.also), None)
            reason = ""
            if record.open:
                stretch = record.open[0]
                reason = f"[{stretch.start}, {stretch.end}) is open for {', '.join(stretch.types)}"
            elif several is not None:
                reason = f"[{several.start}, {several.end}) may be {' or '.join(several.types)}"
            elif record.weight != 1.0:
                reason = f"its weight is {record.weight:g}"
            if reason:
                declared = f" (by {corpus.declaration})" if corpus.declaration else ""
                raise ConfigError(f"{record.where}{declared}: {reason}; {accepted}")


def _task(run: SpanHeadRun) -> SpanTask:
    torch.manual_seed(run.loop.seed)
    data = read_data(run.data, word_hash_size=run.word_hash_size)
    teacher = new_teacher(run, data, lambda config, encoder: SpanTeacher(config, encoder, run.span_width))
    crf = ConstrainedCrf(data.entity_types)  # for its scheme; no loss reaches it
    pointer = list(teacher.tag.parameters())
    own = {id(parameter) for parameter in pointer}
    groups = [
        group | {"params": [parameter for parameter in group["params"] if id(parameter) not in own]}
        for group in layerwise_groups(teacher, crf, run)
    ]
    groups.append({"params": pointer, "lr": run.span_learning_rate})
    task = SpanTask(teacher, crf, data, run.augmentation, run.loop, groups)
    task.loss_by_type = run.loss_by_type
    return task
