"""Write the lists of names as one typed word list, to be laid over jieba's dictionary in the base lexicon.

    python training/data/names/typed.py [FOLDER] -o runs/names.tsv
    distillex lexicon build -o lexicons/base/1.lex runs/names.tsv

A word that is common by jieba's count (苹果, 得到, 活着) keeps jieba's tag, for a title or a product sooner than for a
firm. Positions and addresses are left out: to a teacher that had not met them as typed words they did harm (everyday
F1 0.944 without them, 0.919 with), and jieba's tags tell most of them. Of a word in several lists the first type of
:data:`TYPES` counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from distillex_matcher import is_word, normalize
from distillex_matcher.base_lexicon import jieba_dictionary_path, read_jieba_dictionary

TYPES = (
    "company",
    "game",
    "product",
    "movie",
    "book",
    "scene",
    "organization",
    "government",
    "name",
)
NAME_TAGS = ("nz", "nt")
"""Jieba's tags of other names and of institutions: however frequent, these are names."""
COMMON_FROM = {"product": 100, "movie": 100, "book": 100, "name": 100}
"""The frequency in jieba's dictionary from which a word is a common one, where it is not :data:`USUALLY`."""
USUALLY = 1000


def typed_names(folder: Path) -> dict[str, str]:
    """Return the type of each name of ``TYPE.txt`` and ``TYPE-PART.txt`` of a folder."""
    known = {normalize(word): (tag, count) for word, tag, count in read_jieba_dictionary(jieba_dictionary_path())}
    names: dict[str, str] = {}
    for entity_type in TYPES:
        for path in sorted(folder.glob(f"{entity_type}*.txt")):
            for word in map(normalize, path.read_text(encoding="utf-8").split("\n")):
                if len(word) < 2 or not is_word(word):
                    continue
                tag, count = known.get(word, ("", 0))
                if count >= COMMON_FROM.get(entity_type, USUALLY) and not tag.startswith(NAME_TAGS):
                    continue
                names.setdefault(word, entity_type)
    return names


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent, help="of TYPE.txt files")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    names = typed_names(asked.folder)
    asked.output.write_text("".join(f"{word}\t{kind}\n" for word, kind in sorted(names.items())), encoding="utf-8")


if __name__ == "__main__":
    main()
