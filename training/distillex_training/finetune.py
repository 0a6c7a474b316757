"""Fine-tune a teacher: a pretrained encoder with lexicon features and a CRF, together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from distillex_matcher import FeatureLayout
from torch import Tensor, nn

from distillex_training import processes
from distillex_training.config import TeacherRun
from distillex_training.config.model_directory import read_description
from distillex_training.distill import DistillationTask, labelled_by_teacher
from distillex_training.errors import ConfigError
from distillex_training.models import ConstrainedCrf, Teacher, TeacherConfig, load_model
from distillex_training.models.dropout import use_cheap_dropout
from distillex_training.models.encoders import layer_depths, longest_input
from distillex_training.models.start_from import start_from
from distillex_training.models.teacher import tokens_of
from distillex_training.models.teacher_encoder import is_teacher, load_any_encoder, load_any_encoder_of_pieces
from distillex_training.models.word_pieces import count_pieces
from distillex_training.run_directory import train_in
from distillex_training.tagging import GoldTask, TaggingData, read_data

LOG = logging.getLogger("distillex.training")
T = TypeVar("T", bound=Teacher)


def layerwise_groups(teacher: Teacher, crf: ConstrainedCrf, run: TeacherRun) -> list[dict[str, Any]]:
    """Optimiser groups: the encoder's rate falls by ``layer_decay`` a layer from the top; head and CRF have their own.

    Layer-wise decay: Sun et al., *How to Fine-Tune BERT for Text Classification?*, 2019. A layer that is used several
    times has the rate of its last use.

    Raises
    ------
    EncoderError
        For an encoder without layers.
    """
    depths, layers = layer_depths(teacher.encoder) if run.layer_decay != 1.0 else ({}, 0)
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in teacher.named_parameters():
        part, _, within = name.partition(".")
        rate = run.learning_rate
        if part == "encoder":
            rate = run.encoder_learning_rate * run.layer_decay ** (layers - depths.get(within, 0.0))
        groups.setdefault(rate, []).append(parameter)
    result: list[dict[str, Any]] = [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]
    return [*result, {"params": list(crf.parameters()), "lr": run.crf_learning_rate, "weight_decay": 0.0}]


class AdversarialTask(GoldTask):
    """Gold likelihood, and its mean with that of the sentences whose embeddings are moved the most harmful way.

    Miyato et al., *Adversarial Training Methods for Semi-Supervised Text Classification*, ICLR 2017.
    """

    step_length = 1.0

    def loss(self, prepared: Any) -> Tensor:
        """Return the mean of the plain and the adversarial loss."""
        features = prepared.to(self.device)
        encoder: Any = self.model.tagger.encoder
        embedding: torch.nn.Module = encoder.get_input_embeddings()
        seen: list[Tensor] = []

        def likelihood(change: Callable[[Tensor], Tensor]) -> Tensor:
            handle = embedding.register_forward_hook(lambda _module, _inputs, output: change(output))
            try:
                emissions = self.emissions(features)
            finally:
                handle.remove()
            return self.lost(emissions, features)

        def remember(output: Tensor) -> Tensor:
            seen.append(output)
            return output

        plain = likelihood(remember)
        (gradient,) = torch.autograd.grad(plain, seen[0], retain_graph=True)
        norms = gradient.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1)
        moved = likelihood(lambda output: output + self.step_length * gradient / norms)
        return (plain + moved) / 2


def begin_with(directory: Path, teacher: Teacher, crf: ConstrainedCrf, layout: FeatureLayout) -> None:
    """Begin with another teacher's weights; its CRF's too, where its entity types are these.

    Raises
    ------
    ConfigError
        For a student, or a teacher of other sizes.
    """
    earlier, earlier_crf, earlier_layout = load_model(directory)
    if not isinstance(earlier, Teacher):
        raise ConfigError(f"init_from: {directory} is not a teacher")
    try:
        start_from(*(teacher, crf, layout), earlier=earlier, earlier_crf=earlier_crf, earlier_layout=earlier_layout)
    except ValueError as error:
        raise ConfigError(f"{directory}: {error}") from None


def finetune(
    run: TeacherRun, directory: Path, *, max_steps: int | None = None, resume_with_changes: bool = False
) -> dict[str, float]:
    """Fine-tune (or go on fine-tuning) a teacher in a run directory; the best epoch is in ``directory/best``.

    Returns
    -------
    dict
        Development metrics of the best epoch.

    Raises
    ------
    ConfigError
        For settings that do not go together with the data or with each other.
    RunDirectoryError
        For a directory that holds another run.
    """
    return train_in(
        *(directory, run, lambda: teacher_task(run)),
        tested=bool(run.data.test),
        max_steps=max_steps,
        resume_with_changes=resume_with_changes,
    )


def new_teacher(run: TeacherRun, data: TaggingData, kind: Callable[[TeacherConfig, nn.Module], T]) -> T:
    """Return a teacher on the pretrained encoder that the run names.

    Raises
    ------
    ConfigError
        For sentences longer than the encoder reads.
    EncoderError
        For an encoder that cannot be used.
    """
    vocabulary, pieces = data.layout.vocabulary, None
    if run.word_pieces:
        encoder, settings, pieces = load_any_encoder_of_pieces(run.encoder, vocabulary)
    else:
        encoder, settings, lacking = load_any_encoder(run.encoder, vocabulary)
        limit, longest = longest_input(encoder), 2 + data.longest
        if limit is not None and longest > limit:
            raise ConfigError(f"encoder: {run.encoder} reads {limit} tokens; the longest sentence has {longest}")
        _say_what_is_not_read(run.encoder, vocabulary, lacking)
    config = TeacherConfig(
        vocabulary=len(vocabulary),
        lexicon_types=len(data.layout.types),
        word_hash_size=run.word_hash_size,
        entity_types=data.entity_types,
        encoder_config=settings,
        lexicon_embedding=run.lexicon_embedding,
        lexicon_width=run.lexicon_width,
        head=run.head,
        dropout=run.dropout,
        word_dropout=run.word_dropout,
        word_pieces=run.word_pieces,
    )
    if processes.device().type == "cpu":
        use_cheap_dropout(encoder)
    teacher = kind(config, encoder)
    teacher.pieces = pieces
    return teacher


def _say_what_is_not_read(encoder: str, vocabulary: Sequence[str], lacking: Sequence[str]) -> None:
    LOG.info("%d of %d tokens have no row in the encoder: %s", len(lacking), len(vocabulary), lacking[:20])
    if len(lacking) > len(vocabulary) / 2:
        LOG.warning(
            "encoder: %s has no token for %d of the %d characters here, which begin with the mean of all; where its "
            "tokenizer reads pieces of words or bytes, word_pieces: true reads those",
            *(encoder, len(lacking), len(vocabulary)),
        )
    unread = 0 if is_teacher(encoder) else count_pieces(tokens_of(encoder))
    if unread:
        LOG.info(
            "the encoder's tokenizer has %d pieces of several letters, which are not read: one token is one character, "
            "so that words of letters are spelled out to it; word_pieces: true reads them",
            unread,
        )


def teacher_task(run: TeacherRun) -> GoldTask:
    """Return what ``distillex finetune`` trains: reads the data, and has an earlier teacher label raw text."""
    torch.manual_seed(run.loop.seed)
    earlier = run.distillation.teacher
    layout = load_model(earlier)[2] if earlier is not None else None
    types = read_description(earlier).config.entity_types if earlier is not None else ()
    labels = run.distillation.labels
    data = read_data(run.data, word_hash_size=run.word_hash_size, layout=layout, labels=labels, teacher_types=types)
    teacher = new_teacher(run, data, Teacher)
    crf = ConstrainedCrf(data.entity_types)
    if run.init_from is not None:
        begin_with(run.init_from, teacher, crf, data.layout)
    # The long part comes last: what is wrong with the teacher is said before it.
    cache = labelled_by_teacher(run.distillation, run.data, data)
    LOG.info("teacher: %.2f M parameters", sum(p.numel() for p in teacher.parameters()) / 1e6)
    arguments = (teacher, crf, data, run.augmentation, run.loop, layerwise_groups(teacher, crf, run))
    if cache is not None or labels:
        return DistillationTask(*arguments, switches=run.distillation, projection_rate=run.learning_rate, cache=cache)
    if run.adversarial > 0:
        task = AdversarialTask(*arguments)
        task.step_length = run.adversarial
        return task
    return GoldTask(*arguments)
