"""What the compiled module is to the process that loads it: its symbols, its version, its use by many threads."""

import contextlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import distillex_matcher
import numpy as np
import pytest
from distillex_matcher import CrfDecoder, DoubleArrayTrie, Featurizer, LabelScheme, Lexicon, _core

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
THREADS = 8
ROUNDS = 30


def test_the_module_exports_its_entry_point_alone():
    if shutil.which("nm") is None or not sys.platform.startswith("linux"):
        pytest.skip("needs nm (Debian: apt-get install binutils)")
    command = ["nm", "--dynamic", "--defined-only", "--format=posix", _core.__file__]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["PyInit__core"]


def test_the_version_is_the_distributions():
    (declared,) = re.findall(r'^version = "(.+)"$', PROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    assert distillex_matcher.__version__ == _core.__version__ == declared
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a source tree that is not installed
        assert importlib.metadata.version("distillex") == declared


@pytest.mark.skipif(
    not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled(), reason="needs a Python that runs without the GIL"
)
def test_importing_the_module_leaves_the_gil_off():
    script = "import sys, distillex_matcher; print(sys._is_gil_enabled())"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def jobs():
    """Calls of everything that takes a batch, on objects that all threads share, and of what makes new ones."""
    generator = np.random.default_rng(1)
    scheme = LabelScheme(["company", "name"])
    scores = [generator.normal(size=shape).astype(np.float32) for shape in ((9, 9), 9, 9)]
    decoder = CrfDecoder(scheme, *scores)
    emissions = (generator.normal(size=(6, 30, 9)) * 3).astype(np.float32)
    lengths = np.array([30, 2, 17, 8, 30, 3], np.int32)
    texts = [("在北京大学读书的甲乙丙" * 3)[: length - 2] or "甲" for length in lengths]
    encoded = [text.encode() for text in texts]
    words = {"北京": "n", "大学": "company", "北京大学": None}
    lexicon = Lexicon.from_words(words)
    trie = DoubleArrayTrie(list(words))
    featurizer = Featurizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"北京大学"), ("n", "company"), base=lexicon)
    return [
        lambda: decoder.decode(emissions, lengths),
        lambda: decoder.viterbi(emissions, lengths),
        lambda: decoder.marginals(emissions, lengths),
        lambda: [path for row in decoder.best_paths(emissions, lengths, 3) for labels, score in row for path in labels],
        lambda: decoder.entities_json(emissions, lengths, encoded),
        lambda: trie.find_batch(texts),
        lambda: lexicon.find_batch(texts),
        lambda: featurizer.featurize([*texts, *encoded], [[lexicon, Lexicon.from_words(words)]] * 12)[:5],
        lambda: featurizer.with_base(None).featurize(texts, strict=False)[:5],
        lambda: [tuple(entry) for entry in Lexicon.from_bytes(lexicon.to_bytes())],
        lambda: scheme.encode([(0, 2, "name")], 4),
    ]


def test_many_threads_get_what_one_gets():
    calls = jobs()
    expected = [call() for call in calls]
    start = threading.Barrier(THREADS)
    wrong = []

    def run(first):
        start.wait()
        for number in range(ROUNDS * len(calls)):
            place = (first + number) % len(calls)
            for mine, theirs in zip(calls[place](), expected[place], strict=True):
                if not np.array_equal(mine, theirs):
                    wrong.append(place)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_lists_and_dictionaries_that_other_threads_change_are_read_as_they_were():
    featurizer = Featurizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "甲"), ("n",))
    texts = ["甲"] * 50
    words = {f"词{number}": "n" for number in range(50)}
    done = threading.Event()

    def change():
        while not done.is_set():
            texts[:] = ["甲" * 9] * 20
            texts.extend(["甲"] * 30)
            words["新"] = "n"
            del words["新"]

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(200):
            rows = featurizer.featurize(texts).lengths
            assert len(rows) in (20, 50)
            assert set(rows.ravel().tolist()) <= {3, 11}
            assert len(Lexicon.from_words(words)) in (50, 51)
    finally:
        done.set()
        changing.join()
