"""What trust in the words of a request gives and costs: a student under several numbers for `prefer`, and `insist`.

    python training/evidence/measure_trust.py models/student-cluener --dev cluener/dev.jsonl --train cluener/train.jsonl
        --everyday lexicon_dev.jsonl --wrong lexicon_wrong_dev.jsonl --twins twins_dev.jsonl --picture trust.png

``--everyday`` holds ``{"text", "word", "type", "start", "end", "student"}`` a line: a sentence and a word that comes
with the request and should be returned with its type, with or without 《》 around it. ``--wrong`` holds the same
without bounds: the word stands in the text by chance and should not be returned as that type. Rows of other
students are passed over, and so is a file that is not there. The labelled sentences are measured without words, with
right words for the entities that training never met and as many wrong ones, random or plausible, and with the plausible
wrong ones alone. ``--twins`` holds ``{"simplified", "variant"}``: the same sentence in other characters, code point for
code point, in which the same entities should be found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from distillex_matcher import CrfDecoder, Features, Featurizer, Lexicon
from distillex_matcher.exported import NETWORK_FILE, ExportedFiles
from distillex_training.data.labelled import read_labelled
from distillex_training.data.measured import read_measured
from distillex_training.evaluate import (
    EmissionFunction,
    recall_by_surface,
    score_sentences,
    torch_emissions,
    trim,
    without_scores,
)
from distillex_training.export.onnx import onnx_emissions
from distillex_training.lexicon_evaluation import plausible_entries, random_entries, right_entries
from distillex_training.models import load_model
from distillex_training.scored_span import ScoredSpan, Span
from numpy.typing import NDArray

PREFERS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
PREFER, INSIST = "prefer", "insist"
BATCH = 32


@dataclass(frozen=True)
class Request:
    """A text, the words that come with it, and, of the everyday sentences, the span that is asked about."""

    text: str
    words: Lexicon | None = None
    span: tuple[int, int] = (0, 0)
    word: str = ""
    type: str = ""


@dataclass
class Scored:
    """Requests with their emissions, to be decoded under any trust."""

    featurizer: Featurizer
    requests: list[Request]
    batches: list[tuple[list[int], NDArray[np.float32]]] = field(default_factory=list)
    """Rows, and emissions [B, T, L]."""

    def features(self, rows: Sequence[int], trust: str = PREFER) -> Features:
        """Features of some requests; what is trusted is in them."""
        requests = [self.requests[i] for i in rows]
        overlays = [[] if each.words is None else [each.words] for each in requests]
        return self.featurizer.featurize([each.text for each in requests], overlays, trusts=[trust] * len(requests))


def scored(featurizer: Featurizer, emissions_of: EmissionFunction, requests: list[Request]) -> Scored:
    """Run the network once."""
    result = Scored(featurizer, requests)
    order = sorted(range(len(requests)), key=lambda i: len(requests[i].text))
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        result.batches.append((rows, emissions_of(result.features(rows))))
    return result


def decoded(scored: Scored, decoder: CrfDecoder, trust: str) -> list[list[Span]]:
    """Spans of each request under a trust."""
    types = decoder.scheme.entity_types
    found: list[list[Span]] = [[] for _ in scored.requests]
    for rows, emissions in scored.batches:
        features = scored.features(rows, trust)
        spans = decoder.decode(emissions, features.lengths, [scored.requests[i].text for i in rows], features.trusted)
        for row, start, end, kind, _ in zip(*(column.tolist() for column in spans), strict=True):
            found[rows[row]].append((start, end, types[kind]))
    return found


def is_returned(request: Request, found: Sequence[Span]) -> bool:
    """Whether the word is among the entities with its type, with or without 《》."""
    text, (start, end) = request.text, request.span
    accepted = {(start, end, request.type)}
    if text[start - 1 : start] == "《" and text[end : end + 1] == "》":
        accepted.add((start - 1, end + 1, request.type))
    return not accepted.isdisjoint(found)


def is_wrongly_returned(request: Request, found: Sequence[Span]) -> bool:
    """Whether the word is returned as that type anywhere in the text."""
    surfaces = {(request.text[start:end].strip("《》").lower(), kind) for start, end, kind in found}
    return (request.word.lower(), request.type) in surfaces


def read_requests(path: Path | None, student: str) -> list[Request]:
    """Read the rows of a student; none where there is no file."""
    if path is None or not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [
        Request(
            row["text"],
            Lexicon.from_words({row["word"]: row["type"]}),
            (row.get("start", 0), row.get("end", 0)),
            row["word"],
            row["type"],
        )
        for row in rows
        if row["student"] == student
    ]


def equal_twins(path: Path, entities_of: Callable[[list[str]], list[list[Span]]]) -> tuple[int, int]:
    """Return in how many pairs of a file the variant has the entities of the simplified sentence, and of how many."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = [entities_of([row[key] for row in rows]) for key in ("simplified", "variant")]
    return sum(one == other for one, other in zip(*found, strict=True)), len(rows)


def draw(prefers: Sequence[float], lines: dict[str, list[float]], student: str, path: Path) -> None:
    """Draw what each number for `prefer` gives and costs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for label, values in lines.items():
        axes.plot(prefers, [100 * value for value in values[: len(prefers)]], marker=".", label=label)
    axes.grid(alpha=0.3)
    axes.set_xlabel("λ of prefer, added to the score of a path that tags the word")
    axes.set_ylabel("%")
    axes.set_title(f"trust in a request's words, student {student}")
    figure.legend(loc="outside lower left", fontsize="small", frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure one student."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an exported model's folder (its model.onnx), or a trained one")
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--declaration", type=Path, help="what the types of both mean (training/corpora/*.yaml)")
    parser.add_argument("--everyday", type=Path)
    parser.add_argument("--wrong", type=Path)
    parser.add_argument("--twins", type=Path)
    parser.add_argument("--picture", type=Path, help="PNG of what each number gives and costs")
    parser.add_argument("--student", help="whose rows to take; by default the end of the folder's name")
    parser.add_argument("--base", type=Path, default=Path("lexicons/base/1.lex"))
    parser.add_argument("--seed", type=int, default=1, help="of the wrong words")
    parser.add_argument("--prefers", type=float, nargs="+", default=PREFERS)
    asked = parser.parse_args()
    if (asked.model / NETWORK_FILE).exists():
        files = ExportedFiles.beside(asked.model / NETWORK_FILE)
        layout, crf = files.layout, files.crf
        emissions_of: EmissionFunction = onnx_emissions(asked.model / NETWORK_FILE)
    else:
        tagger, trained, layout = load_model(asked.model)
        crf, emissions_of = trained.parameters_for_serving(), torch_emissions(tagger)
    student = asked.student or asked.model.name.removeprefix("student-")
    base = Lexicon.load(asked.base)
    featurizer = layout.featurizer(base)
    read = read_measured(asked.dev, asked.declaration, crf.entity_types)
    sentences = read.sentences
    known = {s.text[e.start : e.end] for s in read_labelled(asked.train)[0] for e in s.spans}
    types = crf.entity_types
    right = right_entries(sentences, known)
    random_words = random_entries(sentences, types, len(right), right, asked.seed)
    whole = layout.text.word_boundaries
    plausible = plausible_entries(sentences, base, types, len(right), right, asked.seed, word_boundaries=whole)

    def of(requests: list[Request]) -> Scored:
        return scored(featurizer, emissions_of, requests)

    def labelled(words: dict[str, str | None]) -> Scored:
        lexicon = Lexicon.from_words(words) if words else None
        return of([Request(sentence.text, lexicon) for sentence in sentences])

    everyday = of(read_requests(asked.everyday, student))
    wrong = of(read_requests(asked.wrong, student))
    conditions = {
        "right + random 1:1": labelled(random_words | right),
        "right + plausible 1:1": labelled(plausible | right),
        "plausible alone": labelled(plausible),
    }

    def scores(under: Scored, decoder: CrfDecoder, trust: str) -> tuple[float, float, float]:
        scored_spans = [[ScoredSpan(*span, 1.0) for span in spans] for spans in decoded(under, decoder, trust)]
        found = without_scores(trim(sentences, scored_spans, read.trim))
        micro = score_sentences(sentences, found).micro
        return micro.f1, recall_by_surface(sentences, found, known)[1].recall, micro.precision

    plain = crf.decoder(layout)
    none = scores(labelled({}), plain, PREFER)
    chosen = "" if crf.prefer is None else f"; its prefer is {crf.prefer}"
    print(f"{asked.model}: no words: F1 {none[0]:.4f}, unseen recall {none[1]:.4f}; {len(right)} right words{chosen}")
    columns = " | ".join(f"{name}: F1 | unseen recall" for name in conditions)
    counts = f"words returned, of {len(everyday.requests)} | wrong returned, of {len(wrong.requests)}"
    print(f"| λ of prefer | {counts} | {columns} |")
    print("|---" * (3 + 2 * len(conditions)) + "|")
    lines: dict[str, list[float]] = {}
    levels = [(f"{prefer:g}", replace(crf, prefer=prefer).decoder(layout), PREFER) for prefer in asked.prefers]
    for level, decoder, trust in [*levels, (INSIST, plain, INSIST)]:
        cells = []
        for line, under, test in (
            ("everyday words returned", everyday, is_returned),
            ("words that stand there by chance, returned", wrong, is_wrongly_returned),
        ):
            hits = [test(r, s) for r, s in zip(under.requests, decoded(under, decoder, trust), strict=True)]
            cells.append(f"{sum(hits)} ({100 * sum(hits) / len(hits):.1f} %)" if hits else "–")
            if hits:
                lines.setdefault(line, []).append(sum(hits) / len(hits))
        for name, under in conditions.items():
            f1, unseen, precision = scores(under, decoder, trust)
            cells += [f"{f1:.4f}", f"{unseen:.4f}"]
            if name == "right + plausible 1:1":
                lines.setdefault(f"{name}: recall of unseen entities", []).append(unseen)
                lines.setdefault(f"{name}: precision", []).append(precision)
            elif name == "plausible alone":
                lines.setdefault(f"{name}: F1", []).append(f1)
        print(f"| {level} | " + " | ".join(cells) + " |", flush=True)
    if asked.twins is not None and asked.twins.exists():
        same, pairs = equal_twins(
            asked.twins, lambda texts: decoded(of([Request(text) for text in texts]), plain, PREFER)
        )
        print(f"\n{same} of {pairs} sentences in other characters have the same entities")
    if asked.picture is not None:
        draw(asked.prefers, lines, student, asked.picture)


if __name__ == "__main__":
    main()
