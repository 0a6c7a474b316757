"""The lists of names as typed words of the base lexicon, as training/data/names/typed.py writes them."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "data" / "names" / "typed.py"


def test_names_get_the_type_of_their_list_unless_it_is_a_common_word(tmp_path):
    lists = {
        "company": "小米\n苹果\n瑞幸\nＯＰＰＯ\n我",  # jieba: 小米 n 396, 苹果 n 1334; one character is no name
        "product": "小米\n小米14\n天籁\n大麦",  # jieba: 天籁 n 63, 大麦 n 339
        "scene": "外滩\n长城\n小米",  # jieba: 外滩 n 140, 长城 ns 1559
        "address": "三里屯",
    }
    for name, words in lists.items():
        (tmp_path / f"{name}.txt").write_text(words + "\n", encoding="utf-8")
    subprocess.run([sys.executable, SCRIPT, tmp_path, "-o", tmp_path / "names.tsv"], check=True)
    written = (tmp_path / "names.tsv").read_text(encoding="utf-8").splitlines()
    assert dict(line.split("\t") for line in written) == {
        "小米": "company",
        "瑞幸": "company",
        "oppo": "company",
        "小米14": "product",
        "天籁": "product",
        "外滩": "scene",
    }
