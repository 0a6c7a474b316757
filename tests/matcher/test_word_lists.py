"""One rule for word lists: what ``push`` reads and what the client reads is the same, refusals included."""

import sys

import pytest
from distillex_client.batch import lexicon_file
from distillex_client.batch.lexicon_file import read_lexicon
from distillex_client.errors import WrongUse
from distillex_matcher import MAX_WORD_LENGTH, Lexicon, LexiconEntry, LexiconError, normalize
from hypothesis import given, settings
from hypothesis import strategies as st

ACCEPTED = {
    "tabs": ("青石云科\tcompany\n北京\tns", {"青石云科": "company", "北京": "ns"}),
    "no line end": ("北京\tns", {"北京": "ns"}),
    "CRLF": ("青石云科\tcompany\r\n北京\tns\r\n", {"青石云科": "company", "北京": "ns"}),
    "byte order mark": ("\ufeff北京\tns\n", {"北京": "ns"}),
    "empty": ("", {}),
    "blank lines": ("\n  \n\t\n\r\n\u3000\n北京\tns\n\n", {"北京": "ns"}),
    "spaces around": (" 北京\u3000\t ns \n", {"北京": "ns"}),
    "a space within": ("Mystery Ranch\tcompany\n", {"Mystery Ranch": "company"}),
    "quotes of a spreadsheet": ('"北京"\t"ns"\n', {"北京": "ns"}),
    "spaces within the quotes": ('" 北京 "\tns\n', {"北京": "ns"}),
    "a doubled quote": ('"""双""11"""\tgame\n', {'"双"11"': "game"}),
    "a lone quote": ('5"\tgame\n"\tgame\n', {'5"': "game", '"': "game"}),
    "two quotations": ('"甲"和"乙"\tgame\n', {'"甲"和"乙"': "game"}),
    "comments": ("# 注释\n#\n#\u3000注释\n  # 注释\n# 青石云科\tcompany\n北京\tns\n", {"北京": "ns"}),
    "hash signs in words": ("#话题#\tgame\nC#\tgame\n#\tname\n", {"#话题#": "game", "C#": "game", "#": "name"}),
    "hidden": ("北京\tnull\n上海\t-\n", {"北京": None, "上海": None}),
    "weights": ("甲\tn\t1\n乙\tn\t0.5\n丙\tn\t.5\n丁\tn\t1e-3\n", {"甲": "n", "乙": "n", "丙": "n", "丁": "n"}),
    "trust": (
        "甲\tn\t0.5\tinsist\n乙\tn\t\t prefer \n丙\tn\t1\thint\n"
        '丁\tn\t\t2.5\n戊\tn\t\t1e3\n己\tn\t\t"0.25"\n庚\tn\t1\t\n',
        {
            "甲": {"type": "n", "trust": "insist"},
            "乙": {"type": "n", "trust": "prefer"},
            "丙": {"type": "n", "trust": "hint"},
            "丁": {"type": "n", "trust": 2.5},
            "戊": {"type": "n", "trust": 1000.0},
            "己": {"type": "n", "trust": 0.25},
            "庚": "n",
        },
    ),
    "the trust of a hidden word": ("甲\tnull\t\tinsist\n", {"甲": None}),
    "one word in several characters with other trust": (
        "台积电\tcompany\t\tinsist\n臺積電\tcompany\t\thint\n",
        {"台积电": {"type": "company", "trust": "insist"}},
    ),
    "columns that are empty": ("北京\tns\t\n上海\tns\t\t \t\n", {"北京": "ns", "上海": "ns"}),
    "the longest word": ("长" * 255 + "\tn\n", {"长" * 255: "n"}),
    "upper case type": ("北京\tNS\n", {"北京": "NS"}),
    "other line ends are spaces": ("甲\u2028乙\tn\n", {"甲\u2028乙": "n"}),
    "invisible characters around": ("\u200e北京\u200b\tns\u2060\n", {"北京": "ns"}),
    "one word in several characters": (
        "台积电\tcompany\n臺積電\tcompany\nＩＢＭ\t-\nibm\tnull\n",
        {"台积电": "company", "ＩＢＭ": None},
    ),
}

REFUSED = {
    "one column": ("青石云科", "'青石云科' is not WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]"),
    "commas": ("青石云科,company", "'青石云科,company' is not WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]"),
    "jieba's spaces": ("青石云科 3 nz", "is not WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]"),
    "no type": ("青石云科\t", "the type '' of '青石云科' is not a name of 1 to 64 bytes"),
    "five columns": ("a\tb\t1\thint\td", "'a�b�1�hint�d' is not WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]"),
    "an unknown level": (
        "a\tb\t1\td",
        "the trust 'd' is not accepted; hint, prefer, insist or a number from 0 to 1000 is",
    ),
    "a level in capitals": ("a\tb\t\tInsist", "the trust 'Insist' is not accepted"),
    "a trust that is too large": ("a\tb\t\t1000.5", "the trust '1000.5' is not accepted"),
    "a trust without an end": ("a\tb\t\t1e999", "the trust '1e999' is not accepted"),
    "a trust below nought": ("a\tb\t\t-1", "the trust '-1' is not accepted"),
    "a trust with a sign": ("a\tb\t\t+1", "the trust '+1' is not accepted"),
    "a trust with a comma": ("a\tb\t\t1,5", "the trust '1,5' is not accepted"),
    "a trust in wide digits": ("a\tb\t\t１", "the trust '１' is not accepted"),
    "no number as trust": ("a\tb\t\tnan", "the trust 'nan' is not accepted"),
    "a long trust": ("a\tb\t\t" + "长" * 50, "the trust '" + "长" * 40 + "…' is not accepted"),
    "a weight and a trust that are wrong": ("a\tb\t2\tmust", "the weight '2' is not"),
    "a comment without its space": ("#注释", "(a comment begins with '# ')"),
    "no word": ("\tcompany", "a lexicon word is empty"),
    "a blank word": ("\u3000 \tcompany", "a lexicon word is empty"),
    "a blank word in quotes": ('" "\tcompany', "a lexicon word is empty"),
    "a long word": ("长" * 256 + "\tn", "has 256 code points; at most 255 are accepted"),
    "a NUL": ("甲\0\tn", "the word '甲�' holds a control character"),
    "a bell": ("甲\a乙\tn", "the word '甲�乙' holds a control character"),
    "a carriage return within": ("甲\r乙\tn", "the word '甲�乙' holds a control character"),
    "a control in the type": ("甲\ta\ab", "the type 'a�b' of '甲'"),
    "a long type": ("甲\t" + "长" * 22, "is not a name of 1 to 64 bytes of printable UTF-8"),
    "a frequency": ("甲\tn\t1000", "the weight '1000' is not a number in (0, 1]"),
    "no weight at all": ("甲\tn\t0", "the weight '0' is not"),
    "a weight that vanishes": ("甲\tn\t1e-60", "the weight '1e-60' is not"),
    "a weight below nought": ("甲\tn\t-0.5", "the weight '-0.5' is not"),
    "a weight with a sign": ("甲\tn\t+0.5", "the weight '+0.5' is not"),
    "a weight with a comma": ("甲\tn\t0,5", "the weight '0,5' is not"),
    "a weight in wide digits": ("甲\tn\t０.５", "the weight '０.５' is not"),
    "a weight with an underscore": ("甲\tn\t0_1", "the weight '0_1' is not"),
    "no number": ("甲\tn\tnan", "the weight 'nan' is not"),
    "infinity": ("甲\tn\tinf", "the weight 'inf' is not"),
    "a repeat": ("北京\tns", "the word '北京' stands in line 1 already"),
    "a repeat with another type": ("北京\tname", "the word '北京' stands in line 1 already"),
    "a repeat in quotes": ('"北京"\tns', "stands in line 1 already"),
    "a repeat in another case and width": (
        "ＡＢＣ\tn\nabc\tname",
        "the word 'abc' stands in line 2 already, as 'ＡＢＣ' with another type",
    ),
    "a repeat in traditional characters": (
        "台积电\tcompany\n臺積電\tnull",
        "the word '臺積電' stands in line 2 already, as '台积电' with another type",
    ),
    "a repeat with more spaces": (
        "甲 乙\tn\n甲 \u3000乙\tname",
        "stands in line 2 already, as '甲 乙' with another type",
    ),
}
BYTES_REFUSED = {
    "GBK": ("青石云科\tcompany".encode("gbk"), "not UTF-8 (byte 0 of the line)"),
    "GBK in the type": ("abc\t公司".encode("gbk"), "not UTF-8 (byte 4 of the line)"),
    "GBK without a tab": ("青石云科".encode("gbk"), "not UTF-8 (byte 0 of the line)"),
    "GBK in a comment": ("# 公司".encode("gbk"), "not UTF-8 (byte 2 of the line)"),
    "a surrogate": (b"\xed\xa0\x80\tn", "not UTF-8 (byte 0 of the line)"),
    "cut off": (b"a\xe9\x95\tn", "not UTF-8 (byte 1 of the line)"),
}


def said(lexicon):
    """What a lexicon says of its words, where a request can say it too: no weight, no trust of a hidden word."""
    return [(entry.word, entry.type, entry.trust if entry.type else None) for entry in lexicon]


def both(path):
    """What the two readers say: a lexicon and words, or messages."""
    found = []
    for read, error in ((Lexicon.from_tsv, LexiconError), (read_lexicon, WrongUse)):
        try:
            found.append(read(path))
        except error as raised:
            found.append(str(raised))
    return found


@pytest.mark.parametrize(("content", "words"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_both_readers_read_the_same(tmp_path, content, words):
    path = tmp_path / "words.tsv"
    path.write_bytes(content.encode())
    pushed, sent = both(path)
    assert sent == words
    assert said(pushed) == said(Lexicon.from_words(words))
    assert {entry.word for entry in pushed} == {normalize(word) for word in words}


REFUSED_BYTES = {name: (line.encode(), message) for name, (line, message) in REFUSED.items()} | BYTES_REFUSED


@pytest.mark.parametrize(("line", "message"), REFUSED_BYTES.values(), ids=REFUSED_BYTES.keys())
def test_both_readers_refuse_the_same_with_the_same_words(tmp_path, line, message):
    path = tmp_path / "words.tsv"
    path.write_bytes("北京\tns\n".encode() + line + b"\n")
    pushed, sent = both(path)
    assert pushed == sent
    assert message in pushed
    assert pushed.startswith(f"{path}:{2 + line.count(10)}: ")


PIECES = st.sampled_from(
    [
        "甲",
        "乙",
        "\t",
        "\t",
        "\n",
        "\n",
        " ",
        '"',
        '""',
        "#",
        "# ",
        "n",
        "null",
        "-",
        "0.5",
        "2",
        "hint",
        "\r",
        "Ａ",
        "a",
        "台",
        "臺",
        "\u200b",
        "\a",
        "\x85",
    ]
)


@given(st.lists(PIECES, max_size=24).map("".join))
@settings(max_examples=600, deadline=None)
def test_both_readers_agree_on_whatever_is_written(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "agree.tsv"
    path.write_bytes(content.encode())
    pushed, sent = both(path)
    if isinstance(sent, dict):
        assert said(pushed) == said(Lexicon.from_words(sent))
    else:
        assert pushed == sent


def test_a_weight_is_kept_by_a_push(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("北京\tns\t0.5\n", encoding="utf-8")
    assert Lexicon.from_tsv(path)[0] == LexiconEntry("北京", "ns", 0.5)


def test_the_client_knows_the_matchers_limits_white_space_and_normal_form():
    assert lexicon_file.LONGEST_WORD == MAX_WORD_LENGTH
    points = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    assert {point for point in points if normalize(point) == " "} == set(lexicon_file.SPACES)
    # A newer Python may know capital letters that the table of the matcher, made with an older one, does not.
    differing = [point for point in points if lexicon_file._normal(point) != normalize(point)]
    assert len(differing) < 100
