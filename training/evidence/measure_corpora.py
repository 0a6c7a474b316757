"""One student of everyday text on many corpora, beside a student trained on each corpus alone.

    python training/evidence/measure_corpora.py models/student-general --corpora weibo uner_wiki youku
        --data ../shared/data/labelled [--output runs/corpora]

For each corpus, ``DATA/NAME/train.jsonl`` and ``dev.jsonl`` are read through ``training/corpora/NAME.yaml``. The
student of that corpus alone begins from scratch, has the network of the shipped students, and labels the corpus's own
groups of types, so that both are measured on the same gold spans: strict bounds, any type of the group. What the
declaration calls none or unknown is left out of both. The epoch is picked on the corpus's own development file, which
flatters it. With ``--dev-only`` a corpus that may not be trained on is measured alone. A student that is trained
already is not trained again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from pathlib import Path

from distillex_matcher import Lexicon
from distillex_training.config import Corpus, StudentRun, read_config
from distillex_training.data.declaration import read_declaration
from distillex_training.data.labelled import LabelledFile, disjoint_records
from distillex_training.data.measured import read_measured
from distillex_training.distill import distill
from distillex_training.evaluate import Scores, predict_and_score, torch_emissions
from distillex_training.models import load_model
from own_data import CONFIG, ROOT, epochs_of, from_scratch

FEWEST_STEPS, FEWEST_EPOCHS = 800, 8


def declaration_of(corpus: str) -> Path:
    """Return the declaration of a corpus."""
    return ROOT / "training" / "corpora" / f"{corpus}.yaml"


def write_grouped(source: Path, corpus: str, target: Path) -> int:
    """Write a corpus with its groups of types as its types; return its sentences."""
    declaration = read_declaration(declaration_of(corpus))
    groups = {kind: "/".join(group) for group in declaration.groups() for kind in group}
    records, _ = disjoint_records(source, LabelledFile(source, declaration).records().records)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8") as file:
        for record in records:
            spans = tuple(dataclasses.replace(span, type=groups[span.type], also=()) for span in record.spans)
            file.write(dataclasses.replace(record, spans=spans, open=()).json_line())
    return len(records)


def alone(corpus: str, data: Path, output: Path) -> float:
    """Train a student on a corpus alone and return the F1 of its best epoch."""
    folder = output / corpus
    sentences = write_grouped(data / corpus / "train.jsonl", corpus, folder / "train.jsonl")
    write_grouped(data / corpus / "dev.jsonl", corpus, folder / "dev.jsonl")
    epochs = epochs_of(sentences, fewest_steps=FEWEST_STEPS, fewest_epochs=FEWEST_EPOCHS)
    files = {"data.train": str(folder / "train.jsonl"), "data.dev": str(folder / "dev.jsonl")}
    settings = from_scratch() | files | {"loop.epochs": str(epochs)}
    return distill(read_config(CONFIG, StudentRun, settings), folder / "run")["f1"]


def measured(model: Path, base: Path, corpus: Corpus) -> Scores:
    """Return the scores of a trained model on a labelled file."""
    tagger, crf, layout = load_model(model)
    read = read_measured(corpus.path, corpus.declaration, crf.scheme.entity_types)
    featurizer, emissions_of = layout.featurizer(Lexicon.load(base)), torch_emissions(tagger)
    return predict_and_score(featurizer, emissions_of, crf.decoder(), read.sentences, trimmed=read.trim).micro


def main() -> None:
    """Train what is missing, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model directory")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", nargs="*", default=[])
    parser.add_argument("--dev-only", nargs="*", default=[], help="files to measure on alone, CORPUS=FILE")
    parser.add_argument("--base", type=Path, default=ROOT / "lexicons" / "base" / "1.lex")
    parser.add_argument("--output", type=Path, default=Path("runs/corpora"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows: list[dict[str, str | float | None]] = []
    for corpus in asked.corpora:
        own = alone(corpus, asked.data, asked.output)
        scores = measured(asked.model, asked.base, Corpus(asked.data / corpus / "dev.jsonl", declaration_of(corpus)))
        rows.append({"corpus": corpus, "f1": scores.f1, "p": scores.precision, "r": scores.recall, "alone": own})
    for each in asked.dev_only:
        corpus, _, file = each.partition("=")
        scores = measured(asked.model, asked.base, Corpus(Path(file), declaration_of(corpus)))
        rows.append({"corpus": corpus, "f1": scores.f1, "p": scores.precision, "r": scores.recall, "alone": None})
    print("| corpus (dev) | F1 | precision | recall | F1 of a student of this corpus alone |\n|---|---|---|---|---|")
    for row in rows:
        own_f1 = "–" if row["alone"] is None else f"{row['alone']:.4f}"
        print(f"| {row['corpus']} | {row['f1']:.4f} | {row['p']:.4f} | {row['r']:.4f} | {own_f1} |")
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
