"""Bytes, F1 and speed, in process and served, of exported models, all in one run, into docs/notebook/results.json.

    python training/evidence/measure_files.py cluener/dev.jsonl --set cluener
        "teacher, with lexicon=teachers/cluener" "student, distilled, int8=models/student-cluener"

Each is a folder that ``distillex export`` wrote. The labelled sentences are run through its network in ONNX Runtime one
by one and in batches of 32 sentences of similar length, features computed beforehand, rounds alternating; medians of
the rounds. Then each is served by the embedded server, one after the other, and sent the sentences of
examples/news.txt, rounds alternating. With --keep-speeds nothing is timed: bytes and F1 are measured, the speeds of the
rows that are there stay, and --note says what they were measured of.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from distillex_matcher import Features, Lexicon
from distillex_matcher.exported import NETWORK_FILE, ExportedFiles
from distillex_training.data.labelled import read_labelled
from distillex_training.evaluate import EmissionFunction, predict_and_score
from distillex_training.export.onnx import onnx_emissions
from results_file import FILES, RESULTS, ROOT, current_commit, put_row, read_results

sys.path.insert(0, str(ROOT / "benchmarks"))
from alternating import alternate
from bench_serving import read_sentences
from served_rate import served_rate

BATCH = 32
SINGLES = 100
"""Sentences run one by one in a round."""
BATCHES = 8
"""Batches in a round, spread over the lengths."""
SPEEDS = ("milliseconds_per_sentence", "sentences_per_second", "served_sentences_per_second")


class MeasuredFile:
    """One exported model with the features that it is timed on."""

    def __init__(self, folder: Path, base: Lexicon, data: Path) -> None:
        self.folder = folder
        network = folder / NETWORK_FILE
        files = ExportedFiles.beside(network)
        featurizer, decoder = files.layout.featurizer(base), files.crf.decoder()
        sentences, _ = read_labelled(data, entity_types=decoder.scheme.entity_types)
        self.bytes = network.stat().st_size
        self._run: EmissionFunction = onnx_emissions(network)
        self.f1 = predict_and_score(featurizer, self._run, decoder, sentences).micro.f1
        texts = sorted((sentence.text for sentence in sentences), key=len)
        step = max(1, len(texts) // SINGLES)
        self._singles: list[Features] = [featurizer.featurize([text]) for text in texts[::step][:SINGLES]]
        starts = range(0, max(1, len(texts) - BATCH + 1), max(BATCH, len(texts) // BATCHES))
        self._batches: list[Features] = [featurizer.featurize(texts[start : start + BATCH]) for start in starts]
        self.milliseconds: list[float] = []
        self.sentences_per_second: list[float] = []
        self.served: list[float] = []

    def time_once(self) -> None:
        """Run everything once; add to the lists."""
        began = time.perf_counter()
        for features in self._singles:
            self._run(features)
        self.milliseconds.append((time.perf_counter() - began) / len(self._singles) * 1e3)
        began = time.perf_counter()
        for features in self._batches:
            self._run(features)
        count = sum(len(features.lengths) for features in self._batches)
        self.sentences_per_second.append(count / (time.perf_counter() - began))

    def figures(self) -> dict[str, Any]:
        """Bytes, F1, and medians of what was timed."""
        timed = zip(SPEEDS, (self.milliseconds, self.sentences_per_second, self.served), strict=True)
        return {"bytes": self.bytes, "f1": self.f1} | {name: statistics.median(times) for name, times in timed if times}


def time_all(
    files: Sequence[MeasuredFile], rounds: int, served_rounds: int, served_sentences: int, lexicons: Path | None
) -> None:
    """Time all files in turn, first in process, then served."""
    for number in range(rounds):
        for each in files if number % 2 == 0 else reversed(files):
            each.time_once()
    sentences = read_sentences(ROOT / "examples" / "news.txt", served_sentences)
    turns = [partial(served_rate, each.folder, sentences, lexicons) for each in files]
    for each, rates in zip(files, alternate(turns, served_rounds), strict=True):
        each.served = rates


def main() -> None:
    """Measure all files and record them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("files", nargs="+", help="MODEL=FOLDER")
    parser.add_argument("--set", required=True)
    parser.add_argument("--base", type=Path, default=Path("lexicons/base/1.lex"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--served-rounds", type=int, default=3)
    parser.add_argument("--served-sentences", type=int, default=3000)
    parser.add_argument("--lexicons", type=Path, help="lexicon directory of the servers; by default the shipped one")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--keep-speeds", action="store_true", help="measure bytes and F1 alone")
    parser.add_argument("--note", default="")
    asked = parser.parse_args()
    base = Lexicon.load(asked.base)
    measured: dict[str, MeasuredFile] = {}
    for item in asked.files:
        name, separator, folder = item.rpartition("=")
        if not separator:
            parser.error(f"{item!r} is not MODEL=FOLDER")
        measured[name] = MeasuredFile(Path(folder), base, asked.data)
    earlier = {row["model"]: row for row in read_results(asked.results)[FILES] if row["set"] == asked.set}
    if not asked.keep_speeds:
        time_all(list(measured.values()), asked.rounds, asked.served_rounds, asked.served_sentences, asked.lexicons)
    elif absent := sorted(measured.keys() - earlier.keys()):
        parser.error(f"--keep-speeds: no row of set {asked.set!r} yet for {absent}; there are {sorted(earlier)}")
    for name, each in measured.items():
        kept = {key: earlier[name][key] for key in SPEEDS} if asked.keep_speeds else {}
        figures = kept | each.figures()
        row = {"set": asked.set, "model": name, **figures, "commit": current_commit(), "note": asked.note}
        put_row(FILES, row, asked.results)
        speeds = f"{figures['sentences_per_second']:.0f} a second, {figures['served_sentences_per_second']:.0f} served"
        speed = f"{figures['milliseconds_per_sentence']:.2f} ms a sentence, {speeds}"
        print(f"{name}: {figures['bytes'] / 1e6:.2f} MB, F1 {figures['f1']:.4f}, {speed}")


if __name__ == "__main__":
    main()
