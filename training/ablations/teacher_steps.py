"""What did each step give the teacher? Short runs on one part of its data, a row each, measured on several corpora.

    python training/ablations/teacher_steps.py [--plan training/ablations/teacher_steps.yaml] [--rows 0 1 2]
        [--runs runs/teacher-steps] [--output runs/teacher-steps.json]

The plan names a teacher's configuration, further corpora, how many sentences of an epoch of them all a run sees, and
the rows with their settings. Each corpus has its share of the sentences, drawn once: all rows see the same ones, but
for those that name files of their own. A row is a run with a CRF or a span head, or the mean of earlier rows' weights.
Development sets are measured through their declarations. A row that is complete is not repeated; an interrupted run
goes on (its minutes are those since then). Prints a Markdown table: strict span F1, and minutes of training.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Annotated, Any, Literal

from distillex_matcher.layout import write_atomically
from distillex_training.average import average
from distillex_training.config import Corpus, TeacherRun, TrainingCorpus, read_config
from distillex_training.config.values import Count, InputFile, NotEmpty, Seed, Size, settings
from distillex_training.errors import ConfigError, DataError, EncoderError, RunDirectoryError
from distillex_training.finetune import finetune
from distillex_training.run_record import content_checksum
from distillex_training.run_state import BEST, METRICS
from distillex_training.span_head import SpanHeadRun, finetune_spans
from labelled_parts import as_setting, draw, lines_of

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training" / "evidence"))
from measure_corpora import measured  # noqa: E402

LOG = logging.getLogger("distillex.training")
PLAN = Path(__file__).with_suffix(".yaml")
CRF, SPANS = "crf", "spans"
HEADS: dict[str, tuple[type[TeacherRun], Callable[..., dict[str, float]]]] = {
    CRF: (TeacherRun, finetune),
    SPANS: (SpanHeadRun, finetune_spans),
}


@settings(frozen=True)
class MeasuredSet(Corpus):
    """Development sentences."""

    name: str = ""
    """Of the table's column."""
    sentences: Count = 0
    """So many, drawn at random; 0: all."""


@settings(frozen=True)
class Row:
    """A step: a run, or the mean of earlier ones."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted keys of the configuration, over those of all rows."""
    head: Literal["crf", "spans"] = "crf"
    train: tuple[TrainingCorpus, ...] = ()
    """What it is trained on in place of all corpora."""
    mean_of: tuple[str, ...] = ()
    """Names of rows that began with the same weights."""

    @property
    def folder(self) -> str:
        """Name of its run directory."""
        return "-".join(re.findall(r"[0-9a-z.]+", self.name.lower()))


@settings(frozen=True)
class Plan:
    """All rows, and what they share."""

    config: InputFile
    measured: Annotated[tuple[MeasuredSet, ...], NotEmpty]
    rows: Annotated[tuple[Row, ...], NotEmpty]
    sentences: Size
    """Of an epoch of all corpora; with several epochs the same ones again."""
    further: tuple[TrainingCorpus, ...] = ()
    """Corpora beside those of the configuration."""
    settings: dict[str, Any] = field(default_factory=dict)
    seed: Seed = 1
    """Of what is drawn."""

    def __post_init__(self) -> None:
        for kind, names in (("rows", [row.folder for row in self.rows]), ("measured", [s.name for s in self.measured])):
            if twice := sorted({name for name in names if not name or names.count(name) > 1}):
                raise ValueError(f"{kind}: names are needed that tell them apart, not {twice[0]!r}")
        for number, row in enumerate(self.rows):
            earlier = [other.name for other in self.rows[:number] if not other.mean_of and other.head == CRF]
            if unknown := [name for name in row.mean_of if name not in earlier]:
                raise ValueError(f"rows: {row.name}: {unknown[0]!r} is no earlier run; there are: {', '.join(earlier)}")


def drawn(corpora: Sequence[TrainingCorpus], sentences: int, seed: int, folder: Path) -> list[TrainingCorpus]:
    """Write a part of each corpus, of the size that its share of an epoch gives it."""
    counts = [len(lines_of(corpus.path)) for corpus in corpora]
    of_epoch = [corpus.per_epoch or count for corpus, count in zip(corpora, counts, strict=True)]
    parts = []
    for number, (corpus, count, share) in enumerate(zip(corpora, counts, of_epoch, strict=True)):
        wanted = min(count, max(1, round(sentences * share / sum(of_epoch))))
        path = draw(corpus.path, wanted, seed, folder / f"{number}-{corpus.path.stem}.jsonl")
        parts.append(dataclasses.replace(corpus, path=path, per_epoch=0))
    return parts


class Steps:
    """The runs of a plan, in a folder."""

    def __init__(self, plan: Plan, runs: Path) -> None:
        self.plan = plan
        self.runs = runs
        self.sets = [
            Corpus(draw(s.path, s.sentences, plan.seed, runs / "measured" / f"{s.name}.jsonl"), s.declaration)
            for s in plan.measured
        ]

    @cached_property
    def _train(self) -> list[TrainingCorpus]:
        """The part of all corpora."""
        corpora = (*read_config(self.plan.config, TeacherRun).data.train, *self.plan.further)
        return self._drawn(corpora, "all")

    def _drawn(self, corpora: Sequence[TrainingCorpus], name: str) -> list[TrainingCorpus]:
        return drawn(corpora, self.plan.sentences, self.plan.seed, self.runs / "parts" / name)

    def run_of(self, row: Row) -> TeacherRun:
        """Return the configuration of a row's run."""
        settings = {key: json.dumps(value) for key, value in (self.plan.settings | row.settings).items()}
        train = self._drawn(row.train, row.folder) if row.train else self._train
        # Measured once, at the end, unless the settings say otherwise: then the best evaluation counts.
        files = {"data.train": as_setting(train), "data.dev": as_setting(self.sets), "data.test": "[]"}
        return read_config(self.plan.config, HEADS[row.head][0], settings | files)

    def scores(self, row: Row) -> dict[str, float]:
        """Train what is missing of a row; return F1 by the set's name."""
        if row.mean_of:
            return self._scores_of_mean(row)
        outcome = HEADS[row.head][1](self.run_of(row), self.runs / row.folder)
        names = [each.name for each in self.plan.measured]
        return {name: outcome[f"f1_{name}" if len(names) > 1 else "f1"] for name in names}

    def _scores_of_mean(self, row: Row) -> dict[str, float]:
        rows = {each.name: each for each in self.plan.rows}
        members = [self.runs / rows[name].folder / BEST for name in row.mean_of]
        if missing := [name for name, path in zip(row.mean_of, members, strict=True) if not path.exists()]:
            raise ConfigError(f"{row.name}: {missing[0]!r} is not trained yet")
        runs = [self.run_of(rows[name]) for name in row.mean_of]
        # Without `initial` the seed draws the head's first weights.
        begun = {(run.encoder, run.init_from, run.loop.seed if run.init_from is None else None) for run in runs}
        if len(begun) > 1:
            raise ConfigError(f"{row.name}: {', '.join(row.mean_of)} did not begin with the same weights")
        kept = self.runs / row.folder / "scores.json"
        read = [*members, *(path for each in self.sets for path in (each.path, each.declaration) if path is not None)]
        of = [content_checksum(path) for path in read]
        if kept.exists() and (earlier := json.loads(kept.read_text(encoding="utf-8")))["of"] == of:
            return dict(earlier["f1"])
        model = self.runs / row.folder / BEST
        average(members, model)
        names = [each.name for each in self.plan.measured]
        base = runs[0].data.lexicon
        f1 = {name: measured(model, base, corpus).f1 for name, corpus in zip(names, self.sets, strict=True)}
        write_atomically(kept, json.dumps({"of": of, "f1": f1}, ensure_ascii=False) + "\n")
        return f1

    def minutes(self, row: Row) -> float | None:
        """Return how long a row was trained; None for a mean."""
        path = self.runs / row.folder / METRICS
        if not path.exists():
            return None
        seconds = [float(json.loads(line)["seconds"]) for line in path.read_text(encoding="utf-8").splitlines()]
        return sum(seconds) / 60


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of the table."""
    names = list(rows[0]["f1"])
    lines = [f"| step | {' | '.join(names)} | mean | minutes |", "|---" * (len(names) + 3) + "|"]
    for row in rows:
        cells = [*(f"{row['f1'][name]:.4f}" for name in names), f"{row['mean']:.4f}"]
        minutes = "–" if row["minutes"] is None else f"{row['minutes']:.0f}"
        lines.append(f"| {' | '.join([row['step'], *cells, minutes])} |")
    return lines


def carry_out(plan: Plan, numbers: Sequence[int], runs: Path, output: Path) -> list[dict[str, Any]]:
    """Train what is missing of some rows; write and return what is known of them, after each row."""
    steps = Steps(plan, runs)
    done: list[dict[str, Any]] = []
    for row in (plan.rows[number] for number in numbers):
        LOG.info("step: %s", row.name)
        f1 = steps.scores(row)
        values = dataclasses.asdict(row) | {"train": [str(each.path) for each in row.train]}
        shown = {key: values[key] for key in ("settings", "head", "train", "mean_of")}
        done.append({"step": row.name, "f1": f1, "mean": mean(f1.values()), "minutes": steps.minutes(row)} | shown)
        write_atomically(output, json.dumps(done, ensure_ascii=False, indent=1) + "\n")
    return done


def main() -> None:
    """Train all that is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", type=Path, default=PLAN)
    parser.add_argument("--rows", type=int, nargs="+", help="numbers of the plan's rows, from 0; by default all")
    parser.add_argument("--runs", type=Path, default=Path("runs/teacher-steps"))
    parser.add_argument("--output", type=Path, default=Path("runs/teacher-steps.json"))
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        plan = read_config(asked.plan, Plan)
        numbers = range(len(plan.rows)) if asked.rows is None else asked.rows
        if unknown := [number for number in numbers if number not in range(len(plan.rows))]:
            parser.error(f"--rows: {unknown[0]} is no row of {asked.plan}; it has 0 to {len(plan.rows) - 1}")
        done = carry_out(plan, numbers, asked.runs, asked.output)
    except (ConfigError, DataError, EncoderError, RunDirectoryError) as error:
        raise SystemExit(f"teacher_steps.py: {error}") from None
    print("\n".join(table(done)))


if __name__ == "__main__":
    main()
