"""Readers of other tools' files: what they take, and that they name everything they refuse."""

import json

import pytest
from distillex_training.data.convert import read_any
from distillex_training.data.formats.options import ReadingOptions, Scheme
from distillex_training.data.formats.reading import Source
from distillex_training.data.formats.registry import Format, detect
from distillex_training.errors import DataError

SENTENCE = "赵伟在北京大学"
SPANS = [(0, 2, "PER"), (3, 7, "ORG")]


@pytest.fixture
def read(tmp_path):
    def run(content, kind=Format.AUTO, **options):
        path = tmp_path / "file"
        if not isinstance(content, str):
            content = "\n".join(json.dumps(record, ensure_ascii=False) for record in content)
        path.write_bytes(content.encode(options.get("encoding", "utf-8")))
        return read_any(path, kind, ReadingOptions(**options))

    return run


def spans(reading):
    return [[(s.start, s.end, s.type) for s in record.spans] for record in reading.records]


def reasons(reading):
    return [(problem.line, problem.reason) for problem in reading.problems]


def columns(tags, separator=" ", text=SENTENCE):
    return "".join(f"{character}{separator}{tag}\n" for character, tag in zip(text, tags.split(), strict=True)) + "\n"


@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize(
    "tags",
    [
        "B-PER I-PER O B-ORG I-ORG I-ORG I-ORG",
        "I-PER I-PER O I-ORG I-ORG I-ORG I-ORG",
        "B-PER E-PER O B-ORG I-ORG I-ORG E-ORG",
        "B-PER E-PER O B-ORG M-ORG M-ORG E-ORG",
        "B-PER L-PER O B-ORG I-ORG I-ORG L-ORG",
        "B_PER I_PER O B_ORG I_ORG I_ORG I_ORG",
    ],
    ids=["bio2", "bio", "bioes", "bmes", "bilou", "underscore"],
)
def test_columns_are_read_whatever_the_scheme(read, tags, separator):
    reading = read(columns(tags, separator) + columns("O O O O O O O", separator))
    assert [record.text for record in reading.records] == [SENTENCE, SENTENCE]
    assert spans(reading) == [SPANS, []]
    assert [record.line for record in reading.records] == [1, 9]
    assert reading.problems == []


def test_single_characters_and_neighbours_of_one_type_stay_apart(read):
    assert spans(read("甲 S-PER\n乙 S-PER\n")) == [[(0, 1, "PER"), (1, 2, "PER")]]
    assert spans(read("甲 B-PER\n乙 B-PER\n丙 I-PER\n")) == [[(0, 1, "PER"), (1, 3, "PER")]]
    assert spans(read("甲 I-PER\n乙 B-PER\n丙 I-ORG\n", scheme=Scheme.BIO)) == [
        [(0, 1, "PER"), (1, 2, "PER"), (2, 3, "ORG")]
    ]


def test_words_are_joined_and_a_space_may_be_a_token(read):
    reading = read("New B-LOC\nYork I-LOC\nis O\n", joiner=" ")
    assert reading.records[0].text == "New York is"
    assert spans(reading) == [[(0, 8, "LOC")]]
    assert read("A B-X\n  O\nB O\n").records[0].text == "A B"
    assert read("A\tB-X\n \tO\nB\tO\n").records[0].text == "A B"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("甲 B-PER\n乙\n", 2, "'乙' has no tag"),
        ("甲 B-PER\n乙 X-PER\n", 2, "'X-PER' is no tag"),
        ("甲 B-PER\n\tO\n", 2, "no token before the tag"),
        (
            "甲 B-PER\n乙 I-PER\n丙 B-PER\n丁 I-ORG\n",
            4,
            "I-ORG follows an entity of type PER; an entity begins with B-ORG",
        ),
        ("甲 B-PER\n乙 E-PER\n丙 B-PER\n丁 O\n", 3, "that begins here has no end"),
        ("甲 S-PER\n乙 E-PER\n", 2, "E-PER without a B-PER before it"),
        ("甲 S-PER\n乙 B-PER\n丙 E-ORG\n", 2, "that begins here has no end"),
        ("甲 S-PER\n乙 B-PER\n", 2, "that begins here has no end"),
    ],
)
def test_a_broken_sentence_of_columns_is_refused_with_its_line(read, content, line, reason):
    reading = read(content + "\n好 O\n")
    assert [record.text for record in reading.records] == ["好"]
    assert reading.refused == 1
    ((found, text),) = reasons(reading)
    assert found == line
    assert reason in text


def test_document_separators_are_noted(read):
    reading = read("-DOCSTART- O\n\n甲 B-PER\n-DOCSTART- O\n乙 B-PER\n")
    assert [record.text for record in reading.records] == ["甲", "乙"]
    assert "2 document separators" in reading.notes[0]


def test_cluener_ends_are_inclusive_and_surfaces_are_checked(read):
    good = {"text": SENTENCE, "label": {"PER": {"赵伟": [[0, 1]]}, "ORG": {"北京大学": [[3, 6]]}}}
    wrong = {"text": SENTENCE, "label": {"PER": {"赵伟": [[1, 2]]}}}
    odd = {"text": SENTENCE, "label": {"PER": {"赵伟": [[1]]}, "ORG": []}}
    reading = read([good, wrong, {"text": SENTENCE}, odd, {"label": {}}, {"text": "无", "label": {}}])
    assert spans(reading) == [SPANS, []]
    assert reading.refused == 4
    assert reasons(reading) == [
        (2, "the span [1, 3) PER is '伟在', not '赵伟'"),
        (3, 'no object "label": this text is not labelled (a text without entities has {})'),
        (4, "label 'PER', '赵伟': [1] is not [start, end]"),
        (4, "label 'ORG': expected an object from surface to [[start, end], …], found []"),
        (5, 'no string "text"'),
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"id": 1, "text": SENTENCE, "label": [[0, 2, "PER"], [3, 7, "ORG"]]},
        {"id": 1, "data": SENTENCE, "labels": [[0, 2, "PER"], [3, 7, "ORG"]]},
        {
            "id": 1,
            "text": SENTENCE,
            "entities": [
                {"id": 1, "label": "PER", "start_offset": 0, "end_offset": 2},
                {"id": 2, "label": "ORG", "start_offset": 3, "end_offset": 7},
            ],
            "relations": [{"from_id": 1, "to_id": 2, "type": "at"}],
        },
    ],
    ids=["label", "labels", "entities"],
)
def test_doccano_is_read_in_all_its_forms(read, record):
    reading = read([record, {"id": 2, "text": "无"}, record | {"label": [[6, 8, "ORG"]]}, "x"])
    assert spans(reading)[0] == SPANS
    assert (2, 'no list "label", "labels" or "entities": this text is not labelled') in reasons(reading)
    assert any(line == 4 and "expected a JSON object, found str" in reason for line, reason in reasons(reading))
    assert len(reading.notes) == ("relations" in record)
    assert len(reading.records) + reading.refused == 4


def test_a_doccano_span_outside_its_text_is_refused(read):
    reading = read([{"text": SENTENCE, "label": [[6, 8, "ORG"], "x"]}])
    assert [line for line, _ in reasons(reading)] == [1, 1]
    assert "the span [6, 8) does not lie in a text of 7 code points" in reasons(reading)[1][1]
    assert reading.refused == 1


def region(start, end, text, *labels):
    return {"type": "labels", "value": {"start": start, "end": end, "text": text, "labels": list(labels)}}


def task(number, *answers, text=SENTENCE, **more):
    annotations = [{"id": i, "was_cancelled": False, "result": list(answer)} for i, answer in enumerate(answers)]
    return {"id": number, "data": {"text": text}, "annotations": annotations} | more


GOOD = (region(0, 2, "赵伟", "PER"), region(3, 7, "北京大学", "ORG"))


def test_a_label_studio_export_is_read_and_every_refused_task_is_named(read):
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    tasks = [
        task(1, (*GOOD, relation)),
        task(2),
        task(3, GOOD, GOOD[:1]),
        task(4, GOOD, GOOD[::-1]),
        task(5, (region(0, 2, "赵伟", "PER", "ORG"),)),
        task(6, (region(0, 2, "赵大", "PER"),)),
        {"id": 7, "data": {"a": "x", "b": "y"}, "annotations": []},
        task(8, ()),
    ]
    reading = read(json.dumps(tasks, ensure_ascii=False, indent=1))
    assert spans(reading) == [SPANS, SPANS, []]
    assert reading.refused == 5
    found = [reason for _, reason in reasons(reading)]
    for part in (
        "task 2: not annotated",
        "task 3: its 2 annotations disagree",
        "task 5: ",
        "is '赵伟', not '赵大'",
        "task 7",
    ):
        assert any(part in reason for reason in found), part
    lines = json.dumps(tasks, ensure_ascii=False, indent=1).split("\n")
    assert lines[reading.problems[0].line - 1].strip() == "{"
    assert '"id": 2' in lines[reading.problems[0].line]
    assert "1 results passed over" in reading.notes[0]


def test_label_studio_offsets_in_utf16_units_are_recognised_by_their_text(read):
    reading = read(json.dumps([task(1, (region(4, 6, "赵伟", "PER"),), text="😀😀赵伟")]))
    assert spans(reading) == [[(2, 4, "PER")]]
    assert spans(read(json.dumps([task(1, (region(2, 4, "赵伟", "PER"),), text="😀😀赵伟")]))) == [[(2, 4, "PER")]]


def test_the_short_label_studio_export_is_read(read):
    record = {"id": 1, "text": SENTENCE, "label": [{"start": 0, "end": 2, "text": "赵伟", "labels": ["PER"]}]}
    reading = read(json.dumps([record, {"id": 2, "text": SENTENCE}]))
    assert spans(reading) == [[(0, 2, "PER")]]
    ((line, reason),) = reasons(reading)
    assert line == 1
    assert reason == "task 2: not annotated, or without entities: JSON-MIN does not tell them apart; export JSON"


def test_a_label_studio_export_that_is_cut_off_is_noticed(read):
    whole = json.dumps([task(1, GOOD), task(2, GOOD)], ensure_ascii=False)
    reading = read(whole[:-20], Format.LABEL_STUDIO)
    assert len(reading.records) == 1
    assert "the rest of the file was not read" in reasons(reading)[0][1]
    reading = read(whole[:-1], Format.LABEL_STUDIO)
    assert len(reading.records) == 2
    assert "the file is cut off" in reasons(reading)[0][1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"text": "a", "label": {}}', Format.CLUENER),
        ('{"text": "a", "label": []}', Format.DOCCANO),
        ('{"text": "a", "entities": [], "relations": []}', Format.DOCCANO),
        ('{"text": "a", "entities": []}', Format.DISTILLEX),
        ('\n[{"id": 1, "data": {"text": "a"}, "annotations": []}]', Format.LABEL_STUDIO),
        ("a O", Format.COLUMNS),
    ],
)
def test_the_format_is_told_by_the_first_record(tmp_path, content, expected):
    path = tmp_path / "file"
    path.write_text(content, encoding="utf-8")
    assert detect(Source(path)) is expected


@pytest.mark.parametrize(
    ("encoding", "guess"),
    [("gb18030", "gb18030"), ("utf-16", "utf-16"), ("utf-16-be", None)],
    ids=["gbk", "utf-16", "odd"],
)
def test_a_file_that_is_not_wholly_utf8_is_refused_or_read_in_its_encoding(tmp_path, read, encoding, guess):
    content = columns("B-PER I-PER O B-ORG I-ORG I-ORG I-ORG")
    path = tmp_path / "data.txt"
    # Two lines are UTF-8 by chance: they are no records.
    path.write_bytes(("\nA O\n\n" + content).encode(encoding) + b"\xff" * (guess is None))
    with pytest.raises(DataError) as raised:
        read_any(path)
    assert "data.txt:" in str(raised.value)
    assert "not utf-8 (byte " in str(raised.value)
    assert (f"it could be {guess}: --encoding {guess}" in str(raised.value)) == (guess is not None)
    assert spans(read(content, encoding=encoding)) == [SPANS]


def test_an_encoding_that_would_make_other_text_of_utf8_is_refused(read):
    path = read("赵伟 B-PER\n").path
    assert path.read_bytes().decode("gb18030").endswith(" B-PER\n")
    with pytest.raises(DataError, match="UTF-8 as it stands; read as gb18030 it would be other text"):
        read_any(path, options=ReadingOptions(encoding="gb18030"))
    for name in ("utf8", "UTF-8", "utf-8-sig"):
        assert read_any(path, options=ReadingOptions(encoding=name)).records[0].text == "赵伟"


def test_an_encoding_that_does_not_fit_or_is_unknown_is_refused(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("赵 B-PER\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"data\.txt:1: not ascii \(byte 0 of the file\)"):
        read_any(path, options=ReadingOptions(encoding="ascii"))
    for name in ("nonsense", "hex"):
        with pytest.raises(DataError, match=rf"{name}.*; such as utf-8, gb18030"):
            read_any(path, options=ReadingOptions(encoding=name))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_are_no_text(read, end, mark):
    reading = read(mark + (columns("B-PER I-PER O B-ORG I-ORG I-ORG I-ORG") * 2).replace("\n", end))
    assert [record.text for record in reading.records] == [SENTENCE] * 2
    assert [record.line for record in reading.records] == [1, 9]


@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_column_that_numbers_the_tokens_is_passed_over(read, separator, first):
    lines = columns("B-PER I-PER O B-ORG I-ORG I-ORG I-ORG", separator).split("\n")
    sentence = [f"{number}{separator}{line}" for number, line in enumerate(lines, start=first) if line]
    reading = read("\n".join([*sentence, "", *sentence]))
    assert [record.text for record in reading.records] == [SENTENCE] * 2
    assert spans(reading) == [SPANS] * 2
    assert "a first column that numbers the tokens was passed over" in reading.notes[0]
    through = [f"{number}{separator}{line}" for number, line in enumerate([*lines[:7], *lines[:7]], start=1)]
    assert spans(read("\n".join([*through[:7], "", *through[7:]]))) == [SPANS] * 2


def test_numbers_that_do_not_count_are_tokens(read):
    reading = read("3 CD O\n1 CD B-X\n\n2 CD O\n")
    assert [record.text for record in reading.records] == ["31", "2"]
    assert reading.notes == []


def test_digits_that_count_the_characters_of_a_word_are_passed_over(read):
    tags = ["B-PER", "I-PER", "O", "B-ORG", "I-ORG", "I-ORG", "I-ORG"]
    numbered = [f"{character}{digit}" for character, digit in zip(SENTENCE, "0100123", strict=True)]
    reading = read("".join(f"{token}\t{tag}\n" for token, tag in zip(numbered, tags, strict=True)))
    assert [record.text for record in reading.records] == [SENTENCE]
    assert spans(reading) == [SPANS]
    assert "a digit behind each character" in reading.notes[0]
    assert read("A4 O\n纸 O\n").records[0].text == "A4纸"
    assert read("A4 O\nB5 O\n").records[0].text == "A4B5"


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_a_line_of_tags_for_a_line_of_text_is_refused(read, separator):
    line = f"赵伟在北京{separator}B-PER I-PER O B-LOC I-LOC\n"
    for content in (line, line + f"好{separator}O\n", line * 2):
        with pytest.raises(
            DataError, match=r"file:1: a line of tags for a line of text, .* expected one token and its tag a line"
        ):
            read(content)


def test_white_space_in_a_tag_and_ragged_columns_are_refused_by_line(read):
    reading = read("赵\tB-PER NAME\n伟\tI-PER NAME\n在\tO\n\n好\tO\n")
    assert [record.text for record in reading.records] == ["好"]
    assert "'B-PER NAME' is no tag" in reasons(reading)[0][1]
    assert "no white space in it" in reasons(reading)[0][1]
    reading = read("赵 B-PER 伟 I-PER\n在 O\n\n好 O\n天 O\n")
    assert [record.text for record in reading.records] == ["好天"]
    assert reasons(reading) == [(1, "4 columns, where other lines have 2")]


def test_tokens_that_are_clauses_are_refused(read):
    with pytest.raises(DataError, match="its tokens have 9 Chinese characters on average: they are clauses"):
        read("-DOCSTART- -X- O\n赵伟在北京大学工作 -X- _ B-PER\n")
    assert read("北京大学 B-ORG\n在 O\n北京 B-LOC\n").records[0].text == "北京大学在北京"


def test_an_empty_file_of_columns_has_no_record(read):
    assert read("\n\n", Format.COLUMNS).records == []


def test_odd_json_is_refused_by_name(read):
    for content in ('{"text": "a", "entities": [5]}', '{"text": "a", "entities": [{}]}', '{"entities": [1]}'):
        reading = read(content)
        assert reading.records == []
        ((line, reason),) = reasons(reading)
        assert line == 1
        assert "is not an entity" in reason or "an object with a string" in reason
    with pytest.raises(DataError, match="begins like JSON but its first line is none"):
        read('{"a":' * 100_000)
