"""Lexicons: entries, files, and refusal of damaged files."""

import os
import random
import sys
import threading
from pathlib import Path

import pytest
from distillex_matcher import Lexicon, LexiconEntry, LexiconError, hash_word, is_word, normalize
from hypothesis import given, settings
from hypothesis import strategies as st

ENTRIES = st.dictionaries(
    st.text("甲乙丙丁ab𠮷", min_size=1, max_size=6),
    st.tuples(st.one_of(st.none(), st.sampled_from(["n", "company", "人名"])), st.floats(0.0625, 1.0, width=32)),
    max_size=30,
).map(lambda words: [(word, kind, weight) for word, (kind, weight) in words.items()])


DEEP = []
for _ in range(20_000):
    DEEP = [DEEP]


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
        ([("甲", "n", 1.00000001)], "weight 1.00000001"),
        ([("甲", "n", 1e-60)], "weight 1e-60"),
        ([("甲", "n", -1e300)], "weight -1e"),
        ([("甲", "n", float("nan"))], "weight nan"),
        ([("甲", "", 1.0)], "type ''"),
        ([("甲", "a\nb", 1.0)], "not a name"),
        ([("甲", 3, 1.0)], "type of '甲' is 3"),
        ([("甲\0", "n", 1.0)], "holds a control character"),
        ([("甲\t乙", "n", 1.0)], "holds a control character"),
        ([("甲\x85乙", "n", 1.0)], "holds a control character"),
        ([(" \u3000\u200b", "n", 1.0)], "nothing but white space"),
        ([("\ud800", "n", 1.0)], "no character"),
        ([("\ud800" * 300, "n", 1.0)], "has 300 code points"),
        ([("\ud800", "n", 9.0)], "no character"),
        ([("甲", "\ud800", 1.0)], "printable UTF-8"),
        ([("甲", "a\x9fb", 1.0)], "printable UTF-8"),
        ([("甲", "长" * 22, 1.0)], "1 to 64 bytes"),
        (
            [("甲", 10**5000, 1.0)],
            "type of '甲' is a value of the kind int" if hasattr(sys, "set_int_max_str_digits") else "is 1",
        ),
        ([("甲", DEEP, 1.0)], "type of '甲' is a value of the kind list"),
        ([("\ud800", 3, 1.0)], "type of '\ufffd' is 3"),
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


@pytest.mark.parametrize(
    ("word", "is_one"),
    [("甲", True), ("Mystery Ranch", True), ("甲" * 255, True), ("甲" * 256, False), ("", False), (" \u200b", False)]
    + [(f"甲{c}", False) for c in "\0\t\n\x7f\x9f\ud800"],
)
def test_what_a_lexicon_takes_as_a_word_can_be_asked(word, is_one):
    assert is_word(word) == is_one
    if is_one:
        assert word.lower() in Lexicon.from_words({word: "n"})
    else:
        with pytest.raises(LexiconError):
            Lexicon.from_words({word: "n"})


@pytest.mark.parametrize("name", ["a" * 65, "a\nb", b"\xff"])
def test_refuses_a_bad_name(name):
    with pytest.raises(LexiconError, match="at most 64 bytes of printable UTF-8"):
        Lexicon.from_entries([("甲", "n", 1.0)], name=name)


def test_a_message_about_a_path_that_is_not_utf_8_is_still_a_lexicon_error(tmp_path):
    with pytest.raises(LexiconError, match=r"\\xff\.lex: cannot be opened"):
        Lexicon.load(os.fsencode(tmp_path) + b"/\xff.lex")


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
    with pytest.raises(LexiconError, match=r"format version 9; this program reads versions 1 to 2 \(the file is newer"):
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


def test_a_loaded_lexicon_survives_whatever_happens_to_its_file(saved):
    lexicon = Lexicon.load(saved)
    before = (lexicon.find("词7和词9"), all_entries(lexicon))
    size = saved.stat().st_size
    with saved.open("r+b") as file:
        file.write(b"\xff" * size)
    assert (lexicon.find("词7和词9"), all_entries(lexicon)) == before
    os.truncate(saved, 0)
    assert (lexicon.find("词7和词9"), all_entries(lexicon)) == before
    Lexicon.from_words({"新": "n"}).save(saved)
    assert (lexicon.find("词7和词9"), all_entries(lexicon)) == before
    assert len(Lexicon.load(saved)) == 1


def test_bytes_are_the_file(saved):
    lexicon = Lexicon.from_bytes(saved.read_bytes())
    assert all_entries(lexicon) == all_entries(Lexicon.load(saved))
    assert lexicon.to_bytes() == saved.read_bytes()
    with pytest.raises(LexiconError, match="the lexicon file: truncated: 10 bytes"):
        Lexicon.from_bytes(saved.read_bytes()[:10])


def forged(content, old, new):
    """The file with some bytes exchanged, and its checksum made right."""
    broken = bytearray(content.replace(old, new))
    broken[24:32] = bytes(8)
    broken[24:32] = checksum(bytes(broken[128:]), checksum(bytes(broken[:128]), 0)).to_bytes(8, "little")
    return bytes(broken)


def checksum(content, seed):
    """checksum.hpp, once more."""
    bits = 2**64 - 1

    def mix(lane, word):
        lane = ((lane ^ word) * 0x9E3779B97F4A7C15) & bits
        return lane ^ (lane >> 29)

    lanes = [(seed + k) & bits for k in range(1, 5)]
    whole = len(content) // 32 * 32
    for position in range(0, whole, 32):
        for k in range(4):
            begin = position + 8 * k
            lanes[k] = mix(lanes[k], int.from_bytes(content[begin : begin + 8], "little"))
    result = mix(len(content), seed)
    for lane in lanes:
        result = mix(result, lane)
    for byte in content[whole:]:
        result = mix(result, byte + 1)
    return mix(result, result >> 32)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("乙丙".encode(), b"\xff" * 6, "corrupted: a word is not UTF-8"),
        ("乙丙".encode(), b"\x07" * 6, "corrupted: the word '\ufffd{6}' holds a control character"),
        ("乙丙".encode(), b" " * 6, "corrupted: a lexicon word is nothing but white space"),
        (b"company\n", b"compa\xffy\n", "corrupted: the type 'compa\ufffdy' of '' is not a name"),
        (b"company\n", b"compa\x07y\n", "corrupted: the type 'compa\ufffdy' of '' is not a name"),
        (b"company\n", b"compan\n\n", "corrupted: the type '' of '' is not a name"),
        (b"finance", b"fin\xffnce", "corrupted: the lexicon name 'fin\ufffdnce' is not a name"),
    ],
)
def test_a_file_whose_words_types_or_name_are_no_text_is_refused(old, new, message):
    content = Lexicon.from_entries([("甲", "n", 1.0), ("乙丙", "company", 0.5)], name="finance").to_bytes()
    assert forged(content, old, old) == content
    with pytest.raises(LexiconError, match=message):
        Lexicon.from_bytes(forged(content, old, new))


def test_a_path_that_is_no_file_is_no_word_list(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.tsv"):
        with pytest.raises(LexiconError, match="cannot be opened as a file"):
            Lexicon.from_tsv(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_a_word_list_that_cannot_be_read_is_refused():
    with pytest.raises(LexiconError, match="/proc/self/mem: cannot be read"):
        Lexicon.from_tsv("/proc/self/mem")


def test_a_word_list_may_come_through_a_pipe(tmp_path):
    pipe = tmp_path / "words"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_text, args=("北京\tns\n", "utf-8"))
    writing.start()
    assert all_entries(Lexicon.from_tsv(pipe)) == [LexiconEntry("北京", "ns", 1.0)]
    writing.join()


def test_hashed_word_ids_stay_in_their_table_and_never_change():
    assert all(1 <= hash_word(word, 7) <= 6 for word in "甲乙丙丁戊己庚辛")
    with pytest.raises(ValueError, match="word_hash_size is 1; at least 2 is accepted"):
        hash_word("甲", 1)
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


def of_format_1(lexicon, old="", new=""):
    """The file of an earlier release: a header of half the length, and words as they were written."""
    content = lexicon.to_bytes()
    rest = content[128:].replace(old.encode(), new.encode())
    header = bytearray(content[:64])
    header[8] = 1
    header[16:24] = (64 + len(rest)).to_bytes(8, "little")
    header[24:32] = bytes(8)
    header[24:32] = checksum(rest, checksum(bytes(header), 0)).to_bytes(8, "little")
    return bytes(header) + rest


def test_a_file_of_format_1_is_read_where_its_words_are_compared_as_before():
    lexicon = Lexicon.from_words({"台积电": "company", "ibm": "n", "green day": None})
    assert list(Lexicon.from_bytes(of_format_1(lexicon))) == list(lexicon)


@pytest.mark.parametrize("word", ["臺積電", "台积⽥", "台\u3000电"])
def test_a_file_of_format_1_is_refused_where_a_word_is_compared_otherwise_now(tmp_path, word):
    lexicon = Lexicon.from_words({"北京": "ns", normalize(word).replace(" ", "积"): "company"})
    (tmp_path / "old.lex").write_bytes(of_format_1(lexicon, normalize(word).replace(" ", "积"), word))
    expected = f"old.lex: written by an earlier distillex: its word '{word}' is compared as"
    with pytest.raises(LexiconError, match=expected) as refused:
        Lexicon.load(tmp_path / "old.lex")
    assert "distillex lexicon push NAME words.tsv" in str(refused.value)
