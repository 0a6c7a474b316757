"""Files mean the same where the decimal separator is a comma. A locale belongs to a process, so the test starts one."""

import os
import shutil
import subprocess
import sys

import pytest

GERMAN = "de_DE.UTF-8"
SCRIPT = """
import json, locale, sys
import numpy as np
from distillex_matcher import CrfDecoder, LabelScheme, Lexicon

locale.setlocale(locale.LC_ALL, sys.argv[1])
assert locale.str(0.5) == "0,5"
lexicon = Lexicon.from_tsv(sys.argv[2])
zeros = np.zeros((5, 5), np.float32)
emissions = np.zeros((1, 3, 5), np.float32)
emissions[0, 1, 4] = 1
decoder = CrfDecoder(LabelScheme(["a"]), zeros, zeros[0], zeros[0])
rows = decoder.entities_json(emissions, np.array([3], np.int32), ["甲".encode()])
print(lexicon[0].weight, json.loads(rows[0])[0]["score"])
"""


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    """An environment with a locale of decimal commas."""
    if shutil.which("localedef") is None:
        pytest.skip("needs localedef and the sources of locales (Debian: apt-get install locales)")
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / GERMAN)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the sources of locales (Debian: apt-get install locales)")
    return {**os.environ, "LOCPATH": str(folder)}


def test_weights_and_scores_keep_their_point_under_a_locale_of_commas(german, tmp_path):
    (tmp_path / "words.tsv").write_text("甲\tcompany\t0.5\n", encoding="utf-8")
    command = [sys.executable, "-c", SCRIPT, GERMAN, str(tmp_path / "words.tsv")]
    run = subprocess.run(command, env=german, capture_output=True, text=True, check=False)
    assert run.stdout == "0.5 0.7311\n", run.stderr
