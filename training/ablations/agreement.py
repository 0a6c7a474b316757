"""Measure how far students agree with their teacher, on raw text that none of them was trained on.

    python training/ablations/agreement.py runs/losses/2-seed1/best runs/losses/10-seed1/best
        --teacher models/teacher-cluener [--config training/configs/student-losses.yaml] [--sentences 6000]
        [--longest 500]

A teacher labels as many sentences as one likes, so this compares students more closely than a small development set,
and without picking anything on it. The sentences are those that the configuration's ``raw_limit`` leaves over, or with
``--longest`` those that are longer than its ``raw_max_length``. Unseen:
neither the gold sentences nor the teacher's labels of the raw text that the students saw hold the entity; give
``--cache`` where those labels are.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from pathlib import Path

from distillex_training.config import StudentRun, read_config
from distillex_training.data.labelled import Sentence
from distillex_training.data.raw import read_raw
from distillex_training.distill import sentence_of
from distillex_training.evaluate import predict_with_scores, score, torch_emissions, without_scores
from distillex_training.models import load_model
from distillex_training.scored_span import Span
from distillex_training.tagging import TaggingData, read_data
from distillex_training.teacher_cache import label_raw_text

ROOT = Path(__file__).resolve().parents[2]
HELD_OUT_SEED = 99


def spans_of(model_directory: Path, data: TaggingData, texts: list[str]) -> list[list[Span]]:
    """Return what a model finds with the base lexicon."""
    model, crf, layout = load_model(model_directory)
    featurizer = layout.featurizer(data.base)
    return without_scores(predict_with_scores(featurizer, torch_emissions(model), crf.decoder(), texts))


def surfaces(sentences: list[Sentence]) -> set[tuple[str, str]]:
    """Return surface and type of every entity."""
    return {(sentence.text[span.start : span.end], span.type) for sentence in sentences for span in sentence.spans}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", type=Path, nargs="+", help="model directories")
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=ROOT / "training" / "configs" / "student-losses.yaml")
    parser.add_argument("--sentences", type=int, default=6000)
    parser.add_argument("--longest", type=int, help="code points; all longer sentences than students read, up to this")
    parser.add_argument("--cache", type=Path, default=Path("runs/teacher-cache"))
    asked = parser.parse_args()
    run = read_config(asked.config, StudentRun, {"distillation.cache": str(asked.cache)})
    data = read_data(run.data, word_hash_size=run.student.word_hash_size, layout=load_model(asked.teacher)[2])
    seen = label_raw_text([asked.teacher], data, asked.cache)
    assert seen is not None
    known = surfaces([*data.train, *(sentence_of(seen, row) for row in range(len(seen)))])
    shorter, _ = read_raw(run.data.raw, max_length=run.data.raw_max_length)
    if asked.longest is not None:
        everything, _ = read_raw(run.data.raw, max_length=asked.longest)
        left_over = sorted(set(everything) - set(shorter))
        asked.sentences = min(asked.sentences, len(left_over))
    else:
        left_over = sorted(set(shorter) - set(data.raw))
    if len(left_over) < asked.sentences:
        parser.error(f"{asked.config} leaves {len(left_over)} sentences over; --sentences is {asked.sentences}")
    held_out = dataclasses.replace(data, raw=random.Random(HELD_OUT_SEED).sample(left_over, asked.sentences))
    labelled = label_raw_text([asked.teacher], held_out, asked.cache)
    assert labelled is not None
    texts = [labelled.text(row) for row in range(len(labelled))]
    teachers = [set(labelled.spans(row)) for row in range(len(labelled))]
    unseen = [
        {(start, end, kind) for start, end, kind in spans if (text[start:end], kind) not in known}
        for text, spans in zip(texts, teachers, strict=True)
    ]
    count, new = sum(map(len, teachers)), sum(map(len, unseen))
    print(f"{len(texts):,} sentences, {count:,} entities of the teacher, {new:,} of them unseen\n")
    print("| student | F1 against the teacher | precision | recall | recall, unseen |\n|---|---|---|---|---|")
    for student in asked.students:
        found = spans_of(student, data, texts)
        micro = score(teachers, found).micro
        hits = sum(len(rare.intersection(spans)) for rare, spans in zip(unseen, found, strict=True))
        recall = hits / max(1, new)
        print(f"| {student} | {micro.f1:.4f} | {micro.precision:.4f} | {micro.recall:.4f} | {recall:.4f} |", flush=True)


if __name__ == "__main__":
    main()
