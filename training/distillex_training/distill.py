"""Train a student: from gold labels alone, or from a teacher's predictions on raw text as well."""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from distillex_matcher import Featurizer
from torch import Tensor, nn

from distillex_training import processes
from distillex_training.config import ConfigError, DataConfig, DistillationConfig, StudentRun, StudentSizes
from distillex_training.data.batches import Batch, make_batch
from distillex_training.data.everyday import Everyday, EverydayConfig, EverydaySentences
from distillex_training.data.label_sources import draw_by_score
from distillex_training.data.labelled import GoldSpan, OpenSpan, Sentence
from distillex_training.data.substitution import substituted_sentences, unchanged
from distillex_training.lexicon import LexiconAugmenter, ListedWords
from distillex_training.losses import (
    best_paths_likelihood,
    emission_divergence,
    emission_error,
    hidden_error,
    marginal_cross_entropy,
    posterior_cross_entropy,
)
from distillex_training.models import ConstrainedCrf, Student, StudentConfig, Teacher, load_model
from distillex_training.models.directory import read_model_config
from distillex_training.models.initial import start_from
from distillex_training.run_directory import train_in
from distillex_training.tagging import GoldTask, TaggingData, draw_parts, read_data
from distillex_training.teacher_cache import JoinedCaches, TeacherCache, Wanted, label_raw_text
from distillex_training.translated_cache import TranslatedCache, Translation

LOG = logging.getLogger("distillex.training")
Caches = TeacherCache | JoinedCaches | TranslatedCache
CERTAIN = 0.8
"""A teacher's posterior, or a source's score, of an entity that others may be exchanged for."""
SEED_OF_NEW_LAYERS = 1
"""Of those that a student begun with another one does not take over."""
BY_CHARACTER = ("best_paths", "emission_error", "emission_divergence", "hidden")
"""Losses against what the teacher said of each character, which is not known of a new one: with them raw sentences stay
as they are, and labelled ones alone are changed (``augmentation.exchanged``, ``augmentation.noisy``)."""
TEACHER_LOSSES = (
    "viterbi",
    "marginals",
    "posteriors",
    "best_paths",
    "emission_error",
    "emission_divergence",
    "hidden",
)


LABEL_BY_LABEL = ("emission_error", "emission_divergence")
"""Losses that compare each label's score: with a teacher of the very same labels alone."""


class DistillationTask(GoldTask):
    """Gold sentences, raw sentences with what the teacher says of them, and sentences with labels from anywhere."""

    def __init__(
        self,
        *arguments: Any,
        switches: DistillationConfig,
        projection_rate: float,
        cache: Caches | None,
        everyday: EverydayConfig | None = None,
    ) -> None:
        """``projection_rate``: learning rate of the projection of hidden states."""
        super().__init__(*arguments)
        self._everyday = everyday or EverydayConfig()
        self._made = EverydaySentences(self._everyday, self.data.entity_types, self.data.train)
        listed = ListedWords(self._made.listed_words(), self.data.base)
        self._augmenter = self._augmenter.with_listed(listed)
        self._everyday_augmenter = LexiconAugmenter(
            self._everyday.augmentation, self.data.base, self.data.entity_types, listed
        )
        self._drawn: tuple[int, list[Everyday]] = (-1, [])
        self._switches = switches
        self._cache = cache
        self._gold_count = len(self.sentences)
        self._open_labels: Tensor | None = None
        self._teaches = cache is not None and any(getattr(switches, name) > 0 for name in TEACHER_LOSSES)
        if not self._teaches and not self.data.sourced and (switches.gold_repeats == 0 or not self.sentences):
            raise ConfigError(f"distillation: gold_repeats is 0 and no loss is on ({', '.join(TEACHER_LOSSES)})")
        self._raw_stays = any(getattr(switches, name) > 0 for name in BY_CHARACTER)
        if cache is not None:
            kept = cache.confident(switches.minimum_confidence)
            LOG.info("%d of %d raw sentences kept by the teacher's confidence", len(kept), len(cache))
            self._raw_rows = kept
            self.sentences = [*self.sentences, *(sentence_of(cache, row) for row in kept)]
            open_labels = open_labels_of(cache)
            self._open_labels = None if open_labels is None else open_labels.to(processes.device())
            if switches.hidden > 0:
                self.model.projection = nn.Linear(self.model.tagger.hidden_width, cache.hidden_width)
                self._groups.append({"params": list(self.model.projection.parameters()), "lr": projection_rate})
        self._raw_end = len(self.sentences)
        self.sentences = [*self.sentences, *self.data.sourced]

    def mentions(self) -> Iterable[tuple[str, str]]:
        """Those of the gold labels, and what the teacher and other sources are certain of."""
        yield from super().mentions()
        for sentence in self.data.sourced:
            sure = (span for span in sentence.spans if not span.also and span.score >= CERTAIN)
            yield from ((sentence.text[span.start : span.end], span.type) for span in sure)
        if self._cache is not None:
            for row in self._raw_rows:
                text = self._cache.text(row)
                yield from ((text[start:end], kind) for start, end, kind in self._cache.spans(row, CERTAIN))

    def may_change(self, index: int) -> bool:
        """Tell whether a sentence may have other entities and less punctuation than it was labelled with."""
        return not self._is_raw(index) or not self._raw_stays

    def _is_raw(self, index: int) -> bool:
        return self._gold_count <= index < self._raw_end

    def batches(self, epoch: int) -> list[list[int]]:
        """Return batches that are all gold, all raw, all everyday or all otherwise labelled sentences, mixed."""
        gold = self.gold_indices(epoch) * self._switches.gold_repeats
        raw = list(range(self._gold_count, self._raw_end)) if self._teaches else []
        generator = random.Random(f"{self.loop.seed}-{epoch}-sourced")
        sourced = draw_parts(self.data.sourced_parts, self._raw_end, generator)
        fixed = len(self.sentences)
        made = list(range(fixed, fixed + len(self._drawn_for(epoch))))
        batches = [
            batch
            for part, indices in enumerate((gold, raw, made, sourced))
            if indices
            for batch in self._bucketed(indices, self.loop.seed + 1000 * part, epoch)
        ]
        order = torch.randperm(
            len(batches), generator=torch.Generator().manual_seed(self.loop.seed * 100003 + epoch)
        ).tolist()
        return [batches[i] for i in order]

    def loss(self, batch: list[int], epoch: int) -> Tensor:
        """Likelihood of the labels, or the weighted sum of the losses against the teacher."""
        switches = self._switches
        if batch[0] >= len(self.sentences):
            return self._everyday.weight * self._everyday_loss(batch, epoch)
        if not self._is_raw(batch[0]):
            return (switches.gold if batch[0] < self._gold_count else 1.0) * super().loss(batch, epoch)
        features = self.batch(batch, epoch)
        emissions, hidden = self.model.tagger.forward_with_hidden(*features.inputs)
        emissions, hidden = emissions[:, 1:-1].float(), hidden[:, 1:-1].float()
        rows = [self._raw_rows[i - self._gold_count] for i in batch]
        with torch.autocast(emissions.device.type, enabled=False):
            return self._teacher_losses(emissions, hidden, features, rows)

    def sentence(self, index: int, epoch: int) -> Sentence:
        """Return a labelled, raw or everyday sentence by its number."""
        made = index - len(self.sentences)
        if made >= 0:
            return self._drawn_for(epoch)[made].sentence
        sentence = super().sentence(index, epoch)
        if index < self._raw_end:
            return sentence
        generator = random.Random(f"{self.loop.seed}-{epoch}-{index}-scores")
        return draw_by_score(sentence, self.data.entity_types, generator)

    def _drawn_for(self, epoch: int) -> list[Everyday]:
        if self._drawn[0] != epoch:
            generator = random.Random(f"{self.loop.seed}-{epoch}-everyday")
            self._drawn = epoch, [self._made.draw(generator) for _ in range(self._everyday.sentences)]
        return self._drawn[1]

    def _everyday_loss(self, indices: list[int], epoch: int) -> Tensor:
        drawn = self._drawn_for(epoch)
        chosen, overlays = [], []
        for index in indices:
            made = drawn[index - len(self.sentences)]
            generator = random.Random(f"{self.loop.seed}-{epoch}-{index}-everyday")
            mistyped = [word for word in made.plain if generator.random() < self._everyday.mistyped]
            chosen.append(unchanged(made.sentence))
            overlays.append(self._everyday_augmenter.overlay(made.sentence, generator, mistyped))
        features = make_batch(self.featurizer, self.model.crf.scheme, chosen, overlays, indices)
        return self._gold_loss(features.to(self.model.crf.allowed_starts.device))

    def _teacher_losses(self, emissions: Tensor, hidden: Tensor, features: Batch, rows: list[int]) -> Tensor:
        """Weighted sum of the losses that are switched on. *Shape:* emissions [B, C, L], hidden [B, C, W]."""
        assert self._cache is not None
        cache, switches, crf, mask = self._cache, self._switches, self.model.crf, features.mask
        characters, device = emissions.shape[1], emissions.device
        total = torch.zeros((), device=device)
        if switches.viterbi > 0:
            total = total + switches.viterbi * crf.loss(emissions, features.labels, mask, allowed=features.allowed)
        if switches.marginals > 0 or switches.posteriors > 0:
            marginals = self._marginals(features, rows)
            if switches.marginals > 0:
                loss = marginal_cross_entropy(emissions, marginals, mask, switches.temperature, self._open_labels)
                total = total + switches.marginals * loss
            if switches.posteriors > 0:
                loss = posterior_cross_entropy(emissions, crf.scores(), marginals, mask, self._open_labels)
                total = total + switches.posteriors * loss
        if switches.best_paths > 0:
            paths, scores = (tensor.to(device) for tensor in cache.paths(rows, characters))
            loss = best_paths_likelihood(
                *(emissions, crf.scores(), paths, scores, mask, switches.temperature), open_labels=self._open_labels
            )
            total = total + switches.best_paths * loss
        if switches.emission_error > 0 or switches.emission_divergence > 0:
            theirs = cache.emissions(rows, characters).to(device)
            if switches.emission_error > 0:
                total = total + switches.emission_error * emission_error(emissions, theirs, mask)
            if switches.emission_divergence > 0:
                loss = emission_divergence(emissions, theirs, mask, switches.temperature)
                total = total + switches.emission_divergence * loss
        if self.model.projection is not None:
            projected = self.model.projection(hidden)
            loss = hidden_error(projected, cache.hidden(rows, characters).to(device), mask)
            total = total + switches.hidden * loss
        return total

    def _marginals(self, features: Batch, rows: list[int]) -> Tensor:
        """The teacher's marginals where it saw the character, the label itself elsewhere. *Shape:* [B, C, L]."""
        assert self._cache is not None
        device = features.labels.device
        longest = max(len(self._cache.text(row)) for row in rows)
        theirs = self._cache.marginals(rows, longest).to(device)
        labels = theirs.shape[2]
        origins = features.origins.unsqueeze(-1)
        moved = theirs.gather(1, origins.clamp(min=0).expand(-1, -1, labels))
        certain = nn.functional.one_hot(features.labels, labels).to(moved.dtype)
        return torch.where(origins >= 0, moved, certain)


def build_student(run: StudentRun, data: TaggingData) -> tuple[Student, ConstrainedCrf]:
    """Return a new student, or one that begins with the initial one that the run names."""
    if run.initial is not None:
        return begun_student(run.initial, run.student, data)
    crf = ConstrainedCrf(data.entity_types)
    sizes = vars(run.student) | {
        "vocabulary": len(data.layout.vocabulary),
        "lexicon_types": len(data.layout.types),
        "entity_types": data.entity_types,
    }
    try:
        student = Student(StudentConfig(**sizes))
    except ValueError as error:
        raise ConfigError(f"student: {error}") from None
    if run.student.owned_bigrams or run.student.owned_words:
        # Raw text that no teacher labels is not trained on.
        texts = [
            *(s.text for s in (*data.train, *data.sourced)),
            *(data.raw if run.distillation.teacher is not None else ()),
        ]
        give_rows_to_text(student, data.layout.featurizer(data.base), texts)
    return student, crf


def begun_student(directory: Path, sizes: StudentSizes, data: TaggingData) -> tuple[Student, ConstrainedCrf]:
    """Return a student with the weights of another one, as far as they mean the same for this run's entity types.

    Its sizes are the other one's, its rates of dropout the run's. What begins anew does so alike whatever the seed: the
    mean of runs of several seeds would mean nothing otherwise.

    Raises
    ------
    ConfigError
        For a model that is no student.
    """
    initial, initial_crf, initial_layout = load_model(directory)
    if not isinstance(initial, Student):
        raise ConfigError(f"initial: {directory} is not a student")
    rates = {name: rate for name, rate in vars(sizes).items() if name.endswith("dropout")}
    config = dataclasses.replace(
        initial.config, lexicon_types=len(data.layout.types), entity_types=data.entity_types, **rates
    )
    for name, size in vars(sizes).items():
        if size != getattr(config, name):
            LOG.info("student.%s is that of the initial student, %s, not %s", name, getattr(config, name), size)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(SEED_OF_NEW_LAYERS)
        student, crf = Student(config), ConstrainedCrf(data.entity_types)
    start_from(*(student, crf, data.layout), earlier=initial, earlier_crf=initial_crf, earlier_layout=initial_layout)
    return student, crf


def give_rows_to_text(student: Student, featurizer: Featurizer, texts: Sequence[str], batch_size: int = 256) -> None:
    """Give the rows of a student's tables to the bigrams and words of texts, where rows have owners."""
    token_ids, words = [], []
    ordered = sorted(texts, key=len)
    for begin in range(0, len(ordered), batch_size):
        features = featurizer.featurize(ordered[begin : begin + batch_size])
        token_ids.append(torch.from_numpy(features.input_ids))
        occurring = features.occurring_words
        words.append(torch.from_numpy(occurring[occurring != 0]))
    if student.bigram_owners is not None:
        count = student.give_rows_to_bigrams(token_ids)
        LOG.info("%d of %d rows belong to a bigram", count, student.config.bigram_hash_size)
    if student.fusion.word_owners is not None:
        count = student.fusion.give_rows_to_words(words)
        LOG.info("%d of %d rows belong to a word", count, student.config.word_hash_size)


def principal_embeddings(table: Tensor, width: int) -> Tensor:
    """Cut a table of embeddings to fewer dimensions: its principal components, scaled to a deviation of 0.1.

    Parameters
    ----------
    table
        Row 0 is that of padding. *Shape:* [V, W].
    width
        At most W.

    Returns
    -------
    Tensor
        Row 0 is zero. *Shape:* [V, width].

    Raises
    ------
    ConfigError
        Where ``width`` is above W.
    """
    if width > table.shape[1]:
        raise ConfigError(f"student.character_embedding is {width}; the teacher's has {table.shape[1]} dimensions")
    rows = table[1:].detach().float()
    centred = rows - rows.mean(dim=0)
    _, _, components = torch.linalg.svd(centred, full_matrices=False)
    principal = centred @ components[:width].T
    return torch.cat([principal.new_zeros(1, width), principal * (0.1 / principal.std())])


def start_from_teacher(student: Student, teacher: Student | Teacher) -> None:
    """Give a student the character embeddings of a teacher with the same vocabulary, cut to its width."""
    with torch.no_grad():
        student.character_table.copy_(principal_embeddings(teacher.character_table, student.config.character_embedding))


def wanted_parts(switches: DistillationConfig) -> Wanted:
    """Return the parts of the teacher's outputs that the switched-on losses read."""
    return Wanted(
        emissions=switches.emission_error > 0 or switches.emission_divergence > 0,
        hidden=switches.hidden > 0,
        paths=switches.paths if switches.best_paths > 0 else 0,
    )


def sentence_of(cache: Caches, row: int) -> Sentence:
    """Return a raw sentence with the teacher's spans as its labels; types that it does not know are open in it."""
    text = cache.text(row)
    lacking = cache.translation.lacking if isinstance(cache, TranslatedCache) else ()
    stretches = (OpenSpan(0, len(text), lacking),) if lacking else ()
    return Sentence(text, tuple(GoldSpan(*span) for span in cache.spans(row)), stretches)


def open_labels_of(cache: Caches) -> Tensor | None:
    """Return the labels of the student that the teacher does not know, None where there are none. *Shape:* [L]."""
    return cache.translation.open if isinstance(cache, TranslatedCache) and cache.translation.lacking else None


def labelled_by_teacher(switches: DistillationConfig, config: DataConfig, data: TaggingData) -> Caches | None:
    """Have the teacher, and those beside it, label the raw text and what is made from it by exchanging entities.

    Returns
    -------
    TeacherCache or JoinedCaches or None
        None without a teacher.

    Raises
    ------
    ConfigError
        For a teacher that labels none of the student's entity types, one beside none or of other types than the
        teacher, or a loss that compares label by label where the labels differ.
    """
    if switches.teacher is None:
        if switches.beside:
            raise ConfigError("distillation.beside names models, but distillation.teacher none")
        return None
    teachers = (switches.teacher, *switches.beside)
    labels = read_model_config(switches.teacher).entity_types
    for other in switches.beside:
        if (theirs := read_model_config(other).entity_types) != labels:
            named, told = (", ".join(types) for types in (theirs, labels))
            raise ConfigError(f"distillation.beside: {other} labels {named}; the teacher, {told}")
    translation = None if labels == data.entity_types else _translation(switches, labels, data.entity_types)
    cache = _labelled(teachers, switches, config, data)
    return cache if cache is None or translation is None else TranslatedCache(cache, translation)


def _translation(switches: DistillationConfig, labels: Sequence[str], entity_types: Sequence[str]) -> Translation:
    """Return a teacher's labels in terms of the student's, and say what becomes of those that one of them lacks."""
    translation = Translation(labels, entity_types)
    theirs, ours = ", ".join(labels), ", ".join(entity_types)
    if not translation.known:
        raise ConfigError(
            f"distillation.teacher: {switches.teacher} labels {theirs}; none is a type of the student, {ours}"
        )
    for loss in LABEL_BY_LABEL:
        if (weight := getattr(switches, loss)) > 0:
            raise ConfigError(
                f"distillation.{loss} is {weight}: it compares label by label, and the teacher {switches.teacher} "
                f"labels {theirs}, the student {ours}; give 0"
            )
    if translation.foreign:
        LOG.info("the teacher's %s are no types of the student: taught as no entity", ", ".join(translation.foreign))
    if translation.lacking:
        LOG.info("the teacher does not know %s: these stay open on raw text", ", ".join(translation.lacking))
    return translation


def _labelled(
    teachers: Sequence[Path], switches: DistillationConfig, config: DataConfig, data: TaggingData
) -> TeacherCache | JoinedCaches | None:
    wanted = wanted_parts(switches)
    with processes.first_goes_ahead():
        cache = label_raw_text(teachers, data, switches.cache, wanted)
        if cache is None or switches.substituted == 0:
            return cache
        labelled = [*data.train, *(sentence_of(cache, row) for row in range(len(cache)))]
        made = substituted_sentences(
            labelled,
            switches.substituted,
            longest=config.raw_max_length,
            seed=config.seed,
            crossed=switches.crossed,
            lists=data.mention_lists,
        )
        LOG.info("%d sentences made by exchanging entities", len(made))
        if not made:
            return cache
        further = label_raw_text(teachers, dataclasses.replace(data, raw=made), switches.cache, wanted)
    return JoinedCaches([cache, further]) if further is not None else None


def parameter_groups(student: Student, crf: ConstrainedCrf, run: StudentRun) -> list[dict[str, Any]]:
    """Return the optimiser groups of a student: all but the CRF, the CRF, and tables that have a rate of their own."""
    groups: list[dict[str, Any]] = [
        {"params": list(student.parameters()), "lr": run.learning_rate},
        {"params": list(crf.parameters()), "lr": run.crf_learning_rate, "weight_decay": 0.0},
    ]
    if run.table_learning_rate is not None:
        named = list(student.named_parameters())
        groups[0]["params"] = [parameter for name, parameter in named if not is_table(name)]
        tables = [parameter for name, parameter in named if is_table(name)]
        groups.append({"params": tables, "lr": run.table_learning_rate})
    return groups


def is_table(name: str) -> bool:
    """Tell whether a parameter of a student is an embedding table."""
    return name.endswith("embedding.weight")


def distill(run: StudentRun, directory: Path, *, max_steps: int | None = None) -> dict[str, float]:
    """Train (or go on training) a student in a run directory; the best epoch is in ``directory/best``.

    Returns
    -------
    dict
        Development metrics of the best epoch.

    Raises
    ------
    ConfigError
        For settings that exclude each other.
    RunDirectoryError
        For a directory that holds another run.
    """
    if run.initial is not None and run.distillation.start_from_teacher:
        raise ConfigError("distillation.start_from_teacher is true; with initial, which has characters, give false")
    return train_in(directory, run, lambda: _task(run), tested=bool(run.data.test), max_steps=max_steps)


def _task(run: StudentRun) -> DistillationTask:
    torch.manual_seed(run.loop.seed)
    teacher_directory = run.distillation.teacher
    teacher = layout = None
    teacher_types: tuple[str, ...] = ()
    if teacher_directory is not None:
        teacher, _, layout = load_model(teacher_directory)
        teacher_types = read_model_config(teacher_directory).entity_types
    if run.initial is not None:
        layout = load_model(run.initial)[2]
    data = read_data(
        run.data,
        word_hash_size=run.student.word_hash_size,
        layout=layout,
        labels=run.distillation.labels,
        teacher_types=teacher_types,
    )
    if run.student.owned_words and run.initial is None:
        data = dataclasses.replace(data, layout=data.layout.with_distinct_words())
    cache = labelled_by_teacher(run.distillation, run.data, data)
    student, crf = build_student(run, data)
    if teacher is not None and run.distillation.start_from_teacher:
        start_from_teacher(student, teacher)
    tables = sum(p.numel() for n, p in student.named_parameters() if is_table(n))
    everything = sum(p.numel() for p in student.parameters())
    LOG.info("student: %.2f M parameters, %.2f M of them in tables", everything / 1e6, tables / 1e6)
    return DistillationTask(
        *(student, crf, data, run.augmentation, run.loop, parameter_groups(student, crf, run)),
        switches=run.distillation,
        projection_rate=run.learning_rate,
        cache=cache,
        everyday=run.everyday,
    )
