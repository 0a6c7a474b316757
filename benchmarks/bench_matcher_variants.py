"""What each trick of the matcher is worth: builds and runs benchmarks/matcher_variants.cpp on jieba's words.

    python benchmarks/bench_matcher_variants.py [FILE] [--rounds 5]

FILE is any UTF-8 text, searched line by line; without it, lines are drawn from the dictionary with a fixed seed. Prints
the Markdown tables of docs/explanation/matcher.md. Needs CMake and a C++17 compiler.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from bench_matcher import GENERATED_LINES, generated_lines, jieba_words

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "benchmarks"


def main() -> None:
    """Build and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    configure = ["cmake", "-S", ROOT, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Release", "-DDISTILLEX_BUILD_BENCHMARKS=ON"]
    subprocess.run([*configure, "-DDISTILLEX_BUILD_PYTHON=OFF"], check=True, stdout=subprocess.DEVNULL)
    build = ["cmake", "--build", BUILD, "--target", "matcher_variants"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    words = jieba_words()
    with tempfile.TemporaryDirectory() as folder:
        word_file = Path(folder) / "words.txt"
        word_file.write_text("\n".join(words) + "\n", encoding="utf-8")
        text_file = arguments.file
        if text_file is None:
            text_file = Path(folder) / "text.txt"
            text_file.write_text("\n".join(generated_lines(words, GENERATED_LINES)) + "\n", encoding="utf-8")
        subprocess.run([BUILD / "matcher_variants", word_file, text_file, str(arguments.rounds)], check=True)


if __name__ == "__main__":
    main()
