"""What `make demo` runs: entities of the shipped document, and a word added at run time."""

import re
import subprocess
import sys

from server_under_test import ROOT


def test_the_demo_shows_entities_and_what_an_added_word_changes():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = {line.split("lexicon=")[0].strip(): line for line in done.stdout.splitlines() if "lexicon=" in line}
    assert "闪电鲸 [" not in lines["without"]
    assert re.search(r"闪电鲸 \[company 0\.\d\d\]", lines["with"])
    assert int(re.search(r"(\d+) entities in news.txt", done.stdout)[1]) > 100
