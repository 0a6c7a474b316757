"""Train a student: from gold labels alone, or from a teacher's predictions on raw text as well."""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from distillex_matcher import Featurizer
from torch import Tensor, nn

from distillex_training import processes
from distillex_training.config import DataConfig, DistillationConfig, EverydayConfig, StudentRun, StudentSizes
from distillex_training.config.losses import LOSSES, Needs
from distillex_training.config.messages import sentence
from distillex_training.config.model_directory import read_description
from distillex_training.data.batches import Batch, make_batch
from distillex_training.data.everyday import Everyday, EverydaySentences
from distillex_training.data.label_sources import draw_by_score
from distillex_training.data.labelled import GoldSpan, OpenSpan, Sentence
from distillex_training.data.substitution import substituted_sentences, unchanged
from distillex_training.errors import ConfigError
from distillex_training.lessons import Lesson
from distillex_training.lexicon import LexiconAugmenter, ListedWords
from distillex_training.models import ConstrainedCrf, Student, StudentConfig, Teacher, load_model
from distillex_training.models.start_from import start_from
from distillex_training.preflight import check_teachers
from distillex_training.run_directory import train_in
from distillex_training.tagging import GoldTask, TaggingData, draw_parts, read_data
from distillex_training.teacher_cache import CachedOutputs, JoinedCaches, TeacherCache, label_raw_text
from distillex_training.translated_cache import Caches, TranslatedCache, Translation

LOG = logging.getLogger("distillex.training")
CERTAIN = 0.8
"""A teacher's posterior, or a source's score, of an entity that others may be exchanged for."""
SEED_OF_NEW_LAYERS = 1
"""Of those that a student started from another one does not take over."""


@dataclass(frozen=True)
class Prepared:
    """The features of a batch of one kind of sentences."""

    features: Batch
    weight: float = 1.0
    """Of the likelihood of their labels."""
    raw_rows: tuple[int, ...] = ()
    """Of raw sentences: where the teacher's outputs stand in the cache."""


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
        whole = self.data.layout.text.word_boundaries
        listed = ListedWords(self._made.listed_words(), self.data.base, word_boundaries=whole)
        self._augmenter = self._augmenter.with_listed(listed)
        self._everyday_augmenter = LexiconAugmenter(
            *(self._everyday.augmentation, self.data.base, self.data.entity_types, listed), word_boundaries=whole
        )
        self._drawn: tuple[int, list[Everyday]] = (-1, [])
        self._switches = switches
        self._cache = cache
        self._gold_count = len(self.sentences)
        self._open_labels: Tensor | None = None
        self._teaches = cache is not None and bool(switches.switched_on)
        self._raw_stays = not all(LOSSES[name].needs.known_of_new_characters for name in switches.switched_on)
        if cache is not None:
            kept = cache.confident(switches.minimum_confidence)
            LOG.info("%d of %d raw sentences kept by the teacher's confidence", len(kept), len(cache))
            self._raw_rows = kept
            self.sentences = [*self.sentences, *(sentence_of(cache, row) for row in kept)]
            open_labels = open_labels_of(cache)
            self._open_labels = None if open_labels is None else open_labels.to(processes.device())
            if switches.reads(Needs.HIDDEN):
                self.model.projection = nn.Linear(self.model.tagger.hidden_width, cache.hidden_width)
                self._groups.append({"params": list(self.model.projection.parameters()), "lr": projection_rate})
        self._raw_end = len(self.sentences)
        self.sentences = [*self.sentences, *self.data.sourced]

    def mentions(self) -> Iterable[tuple[str, str]]:
        """Those of the gold labels, and what the teacher and other sources are certain of."""
        yield from super().mentions()
        for each in self.data.sourced:
            sure = (span for span in each.spans if not span.also and span.score >= CERTAIN)
            yield from ((each.text[span.start : span.end], span.type) for span in sure)
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

    def prepare(self, batch: list[int], epoch: int) -> Prepared:
        """Featurise a batch."""
        if batch[0] >= len(self.sentences):
            return Prepared(self._everyday_batch(batch, epoch), self._everyday.weight)
        features = self.batch(batch, epoch)
        if self._is_raw(batch[0]):
            return Prepared(features, raw_rows=tuple(self._raw_rows[i - self._gold_count] for i in batch))
        return Prepared(features, self._switches.gold if batch[0] < self._gold_count else 1.0)

    def loss(self, prepared: Prepared) -> Tensor:
        """Likelihood of the labels, or the weighted sum of the losses against the teacher."""
        features = prepared.features.to(self.device)
        if not prepared.raw_rows:
            return prepared.weight * self._gold_loss(features)
        assert self._cache is not None
        emissions, hidden = self.model.tagger.forward_with_hidden(*features.inputs)
        emissions, hidden = emissions[:, 1:-1].float(), hidden[:, 1:-1].float()
        with torch.autocast(emissions.device.type, enabled=False):
            projected = None if self.model.projection is None else self.model.projection(hidden)
            taught = (features, self._cache, prepared.raw_rows, self._switches, self._open_labels)
            return Lesson(emissions, projected, self.model.crf, *taught).loss()

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

    def text(self, index: int, epoch: int) -> str:
        """Return the text of a sentence by its number."""
        made = index - len(self.sentences)
        return self._drawn_for(epoch)[made].sentence.text if made >= 0 else super().text(index, epoch)

    def _drawn_for(self, epoch: int) -> list[Everyday]:
        if self._drawn[0] != epoch:
            generator = random.Random(f"{self.loop.seed}-{epoch}-everyday")
            self._drawn = epoch, [self._made.draw(generator) for _ in range(self._everyday.sentences)]
        return self._drawn[1]

    def _everyday_batch(self, indices: list[int], epoch: int) -> Batch:
        drawn = self._drawn_for(epoch)
        chosen, overlays = [], []
        for index in indices:
            made = drawn[index - len(self.sentences)]
            generator = random.Random(f"{self.loop.seed}-{epoch}-{index}-everyday")
            mistyped = [word for word in made.plain if generator.random() < self._everyday.mistyped]
            chosen.append(unchanged(made.sentence))
            overlays.append(self._everyday_augmenter.overlay(made.sentence, generator, mistyped))
        return make_batch(self.featurizer, self.model.crf.scheme, chosen, overlays, indices)


def build_student(run: StudentRun, data: TaggingData) -> tuple[Student, ConstrainedCrf]:
    """Return a new student, or one that begins with the initial one that the run names."""
    if run.init_from is not None:
        return begun_student(run.init_from, run.student, data)
    crf = ConstrainedCrf(data.entity_types)
    sizes = vars(run.student) | {
        "vocabulary": len(data.layout.vocabulary),
        "lexicon_types": len(data.layout.types),
        "entity_types": data.entity_types,
    }
    try:
        student = Student(StudentConfig(**sizes))
    except ValueError as error:
        raise ConfigError(f"student: {sentence(error, StudentConfig)}") from None
    if run.student.collision_free_bigrams or run.student.collision_free_words:
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
        raise ConfigError(f"init_from: {directory} is not a student")
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


def cached_outputs(switches: DistillationConfig) -> CachedOutputs:
    """Return the parts of the teacher's outputs that the switched-on losses read."""
    return CachedOutputs(
        emissions=switches.reads(Needs.EMISSIONS),
        hidden=switches.reads(Needs.HIDDEN),
        paths=switches.paths if switches.reads(Needs.PATHS) else 0,
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
        return None
    check_teachers(switches, data.entity_types)
    labels = read_description(switches.teacher).config.entity_types
    translation = None if labels == data.entity_types else _translation(labels, data.entity_types)
    cache = _labelled((switches.teacher, *switches.ensemble), switches, config, data)
    return cache if cache is None or translation is None else TranslatedCache(cache, translation)


def _translation(labels: Sequence[str], entity_types: Sequence[str]) -> Translation:
    """Return a teacher's labels in terms of the student's, and say what becomes of those that one of them lacks."""
    translation = Translation(labels, entity_types)
    if translation.foreign:
        LOG.info("the teacher's %s are no types of the student: taught as no entity", ", ".join(translation.foreign))
    if translation.lacking:
        LOG.info("the teacher does not know %s: these stay open on raw text", ", ".join(translation.lacking))
    return translation


def _labelled(
    teachers: Sequence[Path], switches: DistillationConfig, config: DataConfig, data: TaggingData
) -> TeacherCache | JoinedCaches | None:
    wanted = cached_outputs(switches)
    with processes.first_goes_ahead():
        cache = label_raw_text(teachers, data, switches.cache, wanted)
        if cache is None or switches.mention_replacement.sentences == 0:
            return cache
        labelled = [*data.train, *(sentence_of(cache, row) for row in range(len(cache)))]
        made = substituted_sentences(
            labelled,
            switches.mention_replacement.sentences,
            longest=config.raw_max_length,
            seed=config.seed,
            invented=switches.mention_replacement.invented,
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


def distill(
    run: StudentRun, directory: Path, *, max_steps: int | None = None, resume_with_changes: bool = False
) -> dict[str, float]:
    """Train (or go on training) a student in a run directory; the best epoch is in ``directory/best``.

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
        *(directory, run, lambda: student_task(run)),
        tested=bool(run.data.test),
        max_steps=max_steps,
        resume_with_changes=resume_with_changes,
    )


def student_task(run: StudentRun) -> DistillationTask:
    """Return what ``distillex distill`` trains: reads the data, and has the teacher label raw text."""
    torch.manual_seed(run.loop.seed)
    teacher_directory = run.distillation.teacher
    teacher = layout = None
    teacher_types: tuple[str, ...] = ()
    if teacher_directory is not None:
        teacher, _, layout = load_model(teacher_directory)
        teacher_types = read_description(teacher_directory).config.entity_types
    if run.init_from is not None:
        layout = load_model(run.init_from)[2]
    data = read_data(
        run.data,
        word_hash_size=run.student.word_hash_size,
        layout=layout,
        labels=run.distillation.labels,
        teacher_types=teacher_types,
    )
    if run.student.collision_free_words and run.init_from is None:
        data = dataclasses.replace(data, layout=data.layout.with_distinct_words())
    student, crf = build_student(run, data)
    if teacher is not None and run.distillation.start_from_teacher:
        start_from_teacher(student, teacher)
    # The long part comes last: what is wrong with the student is said before it.
    cache = labelled_by_teacher(run.distillation, run.data, data)
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
