import os
import random
from pathlib import Path

import pytest
from distillex_matcher import Lexicon, LexiconEntry, LexiconError, hash_word, normalize
from hypothesis import given, settings
from hypothesis import strategies as st

ENTRIES = st.dictionaries(
    st.text("甲乙丙丁ab𠮷", min_size=1, max_size=6),
    st.tuples(st.one_of(st.none(), st.sampled_from(["n", "company", "人名"])), st.floats(0.0625, 1.0, width=32)),
    max_size=30,
).map(lambda words: [(word, kind, weight) for word, (kind, weight) in words.items()])


def all_entries(lexicon):
    return [lexicon[i] for i in range(len(lexicon))]


@given(ENTRIES)
@settings(max_examples=150, deadline=None)
def test_a_saved_lexicon_is_the_lexicon(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("lexicon") / "a.lex"
    built = Lexicon.from_entries(entries, name="finance", version=7)
    built.save(path)
    opened = Lexicon.load(path)
    assert all_entries(opened) == all_entries(built) == [LexiconEntry(*entry) for entry in entries]
    assert (opened.name, opened.version, opened.types) == ("finance", 7, built.types)
    assert opened.checksum == built.checksum
    text = "".join(word for word, _, _ in entries)
    assert opened.find(text) == built.find(text)


def test_the_same_entries_give_the_same_bytes(tmp_path):
    entries = [("北京", "ns", 0.5), ("上海", "ns", 0.25), ("达观", None, 1.0)]
    for name in ("a", "b"):
        Lexicon.from_entries(entries).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_words_and_texts_are_normalised():
    lexicon = Lexicon.from_words({"ＩＢＭ": "company"})
    assert lexicon[0].word == "ibm"
    assert lexicon.find("在Ibm和ｉｂＭ") == [(1, 4, 0), (5, 8, 0)]
    assert "iBM" in lexicon
    assert lexicon.lookup("hp") is None


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("", "n", 1.0)], "word is empty"),
        ([("a" * 256, "n", 1.0)], "has 256 code points"),
        ([("甲", "n", 0.0)], r"weight 0 of '甲' is not in \(0, 1\]"),
        ([("甲", "n", 1.5)], "weight 1.5"),
        ([("甲", "n", float("nan"))], "weight nan"),
        ([("甲", "", 1.0)], "type ''"),
        ([("甲", "a\nb", 1.0)], "not a name"),
        ([("甲", 3, 1.0)], "type of '甲' is 3"),
        ([("甲\0", "n", 1.0)], "no character"),
        ([("\ud800", "n", 1.0)], "no character"),
        ([("IBM", "n", 1.0), ("ibm", "n", 1.0)], "entries 0 and 1 are the same word after normalisation: 'ibm'"),
        ([("甲", "n")], "a lexicon entry is"),
    ],
)
def test_refuses_bad_entries(entries, message):
    with pytest.raises(LexiconError, match=message):
        Lexicon.from_entries(entries)


def test_of_a_requests_words_the_last_spelling_wins():
    lexicon = Lexicon.from_words({"IBM": "company", "ibm": None})
    assert all_entries(lexicon) == [LexiconEntry("ibm", None, 1.0)]


def test_reads_typed_tsv(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("\ufeff# comment\n达观数据\tcompany\r\n北京\tns\t0.5\n\n上海\tnull\n广州\t-\n", encoding="utf-8")
    assert all_entries(Lexicon.from_tsv(path)) == [
        LexiconEntry("达观数据", "company", 1.0),
        LexiconEntry("北京", "ns", 0.5),
        LexiconEntry("上海", None, 1.0),
        LexiconEntry("广州", None, 1.0),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("达观数据".encode(), "is not WORD<TAB>TYPE"),
        (b"a\tb\tc\td", "is not WORD<TAB>TYPE"),
        (b"\xff\tcompany", "not UTF-8"),
        ("达观\tcompany\theavy".encode(), "weight 'heavy' is not a number"),
        ("达观\tcompany\t2".encode(), "weight 2"),
        ("北京\tns".encode(), "stands in line 1 already"),
    ],
)
def test_tsv_errors_name_file_and_line(tmp_path, line, message):
    path = tmp_path / "words.tsv"
    path.write_bytes("北京\tns\n".encode() + line + b"\n")
    with pytest.raises(LexiconError, match=rf"words\.tsv:2: .*{message}"):
        Lexicon.from_tsv(path)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.lex"
    Lexicon.from_entries([(f"词{i}", "n", 0.5) for i in range(200)]).save(path)
    return path


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(LexiconError, match=r"nothing\.lex: cannot be opened"):
        Lexicon.load(tmp_path / "nothing.lex")
    with pytest.raises(LexiconError, match="not a regular file"):
        Lexicon.load(tmp_path)


def test_a_truncated_file_is_said_to_be_truncated(saved):
    content = saved.read_bytes()
    for size in (0, 10, 63, 64, 1000, len(content) - 1):
        saved.write_bytes(content[:size])
        with pytest.raises(LexiconError, match="truncated"):
            Lexicon.load(saved)


def test_a_newer_file_is_said_to_be_newer(saved):
    content = bytearray(saved.read_bytes())
    content[8] = 9
    saved.write_bytes(content)
    with pytest.raises(LexiconError, match=r"format version 9; this program reads version 1 \(the file is newer"):
        Lexicon.load(saved)


def test_every_flipped_byte_is_noticed(saved):
    content = saved.read_bytes()
    generator = random.Random(1)
    for _ in range(500):
        position = generator.randrange(len(content))
        broken = bytearray(content)
        broken[position] ^= 1 << generator.randrange(8)
        saved.write_bytes(broken)
        with pytest.raises(LexiconError):
            Lexicon.load(saved)


def test_a_hundred_thousand_random_byte_strings_are_refused(saved):
    content = saved.read_bytes()
    generator = random.Random(2)
    memory = Path("/dev/shm")
    path = (memory if memory.is_dir() else saved.parent) / f"distillex-random-{os.getpid()}.lex"
    try:
        for number in range(100_000):
            size = generator.randrange(200)
            noise = generator.randbytes(size)
            # Every other string has the header of a real file, so that the checks behind the magic are reached.
            path.write_bytes(noise if number % 2 else content[: 8 + number % 57] + noise)
            with pytest.raises(LexiconError):
                Lexicon.load(path)
    finally:
        path.unlink()


def test_saving_leaves_no_part_behind(tmp_path, saved):
    lexicon = Lexicon.load(saved)
    with pytest.raises(LexiconError, match="cannot be written"):
        lexicon.save(tmp_path / "no-folder" / "a.lex")
    lexicon.save(saved)
    assert [path.name for path in tmp_path.iterdir()] == ["a.lex"]


def test_a_mapped_lexicon_survives_the_replacement_of_its_file(saved):
    lexicon = Lexicon.load(saved)
    Lexicon.from_words({"新": "n"}).save(saved)
    assert lexicon.find("词7") == [(0, 2, 7)]
    assert len(Lexicon.load(saved)) == 1


def test_hashed_word_ids_stay_in_their_table_and_never_change():
    assert all(1 <= hash_word(word, 7) <= 6 for word in "甲乙丙丁戊己庚辛")
    # Shipped weights are indexed by these.
    assert [hash_word(word, 32768) for word in ("北京", "达观数据", "a")] == [17601, 2986, 18439]


def test_normalises_one_code_point_to_one():
    assert normalize("ＡＢＣ１２３！　\t\u200b\ufeffÀÉ") == "abc123!" + " " * 4 + "àé"
    # İ lowers to two code points: it stays as it is.
    assert normalize("İ") == "İ"


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_normalising_keeps_length_and_is_idempotent(text):
    normal = normalize(text)
    assert len(normal) == len(text)
    assert normalize(normal) == normal
