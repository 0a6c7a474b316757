"""What models find together that none finds alone: F1 of each, and of the mean of their emissions and CRF scores.

    python training/ablations/ensembles.py cluener/dev.jsonl models/teacher-cluener models/student-cluener

All in bfloat16, as they label raw text for a student (``distillation.ensemble``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from distillex_matcher import Lexicon
from distillex_training.data.labelled import read_labelled
from distillex_training.ensemble import Ensemble
from distillex_training.evaluate import Emissions, gold_spans, predict_scored, score, without_scores
from distillex_training.scored_span import Span


def spans_of(ensemble: Ensemble, texts: list[str]) -> list[list[Span]]:
    """Return what an ensemble finds."""

    def scored(batch: list[str]) -> Emissions:
        outputs = ensemble.outputs(batch)
        return Emissions(outputs.emissions, outputs.lengths)

    return without_scores(predict_scored(scored, ensemble.decoder, texts))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+", help="model directories")
    parser.add_argument("--base", type=Path, default=Path("lexicons/base/1.lex"))
    asked = parser.parse_args()
    base = Lexicon.load(asked.base)
    print("| models | F1 | precision | recall |\n|---|---|---|---|")
    together = [asked.models] if len(asked.models) > 1 else []
    for models in [*([model] for model in asked.models), *together]:
        ensemble = Ensemble(models, base)
        sentences, _ = read_labelled(asked.data, entity_types=ensemble.entity_types)
        found = spans_of(ensemble, [sentence.text for sentence in sentences])
        micro = score(gold_spans(sentences), found).micro
        names = " and ".join(map(str, models))
        print(f"| {names} | {micro.f1:.4f} | {micro.precision:.4f} | {micro.recall:.4f} |", flush=True)


if __name__ == "__main__":
    main()
