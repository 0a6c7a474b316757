"""Reading labelled and raw files: spans, long sentences, and errors with file and line."""

import json

import pytest
from distillex_training.data.labelled import GoldSpan, LabelledFile, Sentence, read_labelled, read_splits
from distillex_training.data.raw import read_raw
from distillex_training.errors import DataError


@pytest.fixture
def read(tmp_path):
    def run(*records, **options):
        path = tmp_path / "data.jsonl"
        lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_labelled(path, **options)

    return run


def record(text, *spans):
    return {"text": text, "entities": [{"start": s, "end": e, "type": t} for s, e, t in spans]}


GOOD = record("北京大学", (0, 4, "organization"))


def test_reads_texts_and_spans(read):
    sentences, report = read(GOOD, "", {"text": "无", "entities": []})
    assert sentences == [Sentence("北京大学", (GoldSpan(0, 4, "organization"),)), Sentence("无", ())]
    assert report.sentences == 2
    assert "1 blank lines" in "\n".join(report.lines())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object"),
        ({"text": 3}, "expected an object"),
        (record("  "), "the text is empty"),
        ({"text": "甲", "entities": {}}, "must be a list"),
        ({"text": "甲"}, r'no "entities": a text without any has \[\]'),
        ({"text": "甲", "label": []}, r'no "entities": a text without any has \[\]'),
        ({"text": "甲", "entities": [{"start": 0}]}, "is not an entity"),
        ({"text": "甲", "entities": [{"start": 0.5, "end": 1, "type": "name"}]}, "is not an entity"),
        ({"text": "甲", "entities": [{"start": 0, "end": 1, "type": ""}]}, "is not an entity"),
        ({"text": "甲\0", "entities": []}, "NUL character at position 1"),
        ('{"text": "甲\\ud800", "entities": []}', "lone surrogate at position 1"),
        (record("甲乙", (1, 3, "name")), r"the span \[1, 3\) does not lie in a text of 2"),
        (record("甲乙", (1, 1, "name")), r"the span \[1, 1\)"),
        (record("甲乙", (0, 1, "planet")), "unknown type 'planet'; known types: name, organization"),
    ],
)
def test_errors_name_file_and_line(read, bad, message):
    with pytest.raises(DataError, match=rf"data\.jsonl:2: .*{message}"):
        read(GOOD, bad, entity_types=("name", "organization"))


def test_an_empty_file_is_refused(read):
    with pytest.raises(DataError, match="no sentence"):
        read("")


def test_of_overlapping_spans_the_longer_then_the_earlier_stays_and_the_rest_is_reported(read):
    spans = [(0, 2, "name"), (0, 4, "organization"), (3, 5, "name"), (5, 7, "name"), (6, 8, "name")]
    sentences, report = read(record("北京大学的老师们", *spans))
    assert [(s.start, s.end) for s in sentences[0].spans] == [(0, 4), (5, 7)]
    assert len(report.overlapping_spans) == 3
    assert all("data.jsonl:1" in line and "overlaps" in line for line in report.lines()[1:])


def test_a_long_sentence_is_split_without_losing_text_or_spans(read):
    text = "甲乙丙。" * 750
    spans = [(i, i + 3, "name") for i in range(0, 3000, 4)]
    sentences, report = read(record(text, *spans), max_length=510)
    assert "".join(sentence.text for sentence in sentences) == text
    assert max(len(sentence.text) for sentence in sentences) <= 510
    assert sum(len(sentence.spans) for sentence in sentences) == len(spans)
    assert all(s.text[e.start : e.end] == "甲乙丙" for s in sentences for e in s.spans)
    assert report.split_sentences == 1
    assert any("data.jsonl:1: 3000 characters" in line and "split into 6 sentences" in line for line in report.lines())


def test_a_span_is_not_cut_where_the_sentence_can_be_cut_before_it(read):
    sentences, report = read(record("甲" * 20, (8, 12, "name")), max_length=10)
    assert [len(s.text) for s in sentences] == [8, 10, 2]
    assert sentences[1].spans == (GoldSpan(0, 4, "name"),)
    assert report.cut_spans == []


def test_a_span_longer_than_the_limit_is_reported(read):
    sentences, report = read(record("甲" * 30, (0, 30, "name")), max_length=10)
    assert all(not s.spans for s in sentences)
    assert len(report.cut_spans) == 1


def test_a_span_named_twice_is_counted_once_and_reported(read):
    sentences, report = read(record("甲乙", (0, 1, "name"), (0, 1, "name")))
    assert sentences[0].spans == (GoldSpan(0, 1, "name"),)
    assert any("data.jsonl:1: [0, 1) name: counted once" in line for line in report.lines())


def test_one_error_names_every_problem_of_both_files(tmp_path):
    train = [GOOD, record("甲乙", (1, 3, "name")), record(""), record("甲乙。" * 1000)]
    dev = [record("甲乙", (0, 1, "planet")), "{", GOOD]
    for name, records in (("train", train), ("dev", dev)):
        lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_splits([LabelledFile(tmp_path / "train.jsonl")], [LabelledFile(tmp_path / "dev.jsonl")])
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("4 problems in ")
    expected = (
        "train.jsonl:2: the span [1, 3) does not lie in a text of 2",
        "train.jsonl:3: the text is empty",
        "dev.jsonl:1: unknown type 'planet'; known types: name, organization",
        "dev.jsonl:2: not JSON",
        "no errors, but worth knowing:",
        "train.jsonl: 1 sentences over the length limit were split",
        "train.jsonl:4: 3000 characters, over the limit of 510: split into",
    )
    assert len(lines) == 1 + len(expected)
    for line, part in zip(lines[1:], expected, strict=True):
        assert part in line


def test_a_missing_file_and_bytes_that_are_not_utf8_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.jsonl: No such file"):
        read_labelled(tmp_path / "nothing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "a"}\n\xe9\n')
    with pytest.raises(DataError, match=r"latin\.jsonl:2: not UTF-8"):
        read_labelled(tmp_path / "latin.jsonl")


def test_the_texts_of_labelled_files_are_raw_text_too(read, tmp_path):
    read(GOOD, record("上海"), record("很长很长的一句"))
    lines = tmp_path / "raw.txt"
    lines.write_text('上海\n{"text"\n', encoding="utf-8")
    texts = ["北京大学", "上海", "很长很长的一句", '{"text"']
    assert read_raw([tmp_path / "data.jsonl", lines], max_length=7) == (texts, 0)
    assert read_raw([tmp_path / "data.jsonl"], max_length=6) == (["北京大学", "上海"], 1)
    (tmp_path / "data.jsonl").write_text("上海\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"data\.jsonl:1: not JSON"):
        read_raw([tmp_path / "data.jsonl"], max_length=7)


def test_raw_text_that_is_not_utf8_is_named_line_by_line(tmp_path):
    raw = tmp_path / "raw.txt"
    raw.write_bytes("\ufeff上海\r\n\n".encode() + "北京".encode("gb18030") + b"\n" + "天津\n".encode() + b"\xff")
    with pytest.raises(DataError) as raised:
        read_raw([raw], max_length=9)
    assert [f"{raw}:{number}: not UTF-8" in str(raised.value) for number in (1, 3, 4, 5)] == [False, True, False, True]
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text("上海\n", encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_raw([raw, labelled], max_length=9)
    assert [where in str(raised.value) for where in (f"{raw}:5", f"{labelled}:1")] == [True, True]
    raw.write_bytes("\ufeff上海\r\n\n天津".encode())
    assert read_raw([raw], max_length=9) == (["上海", "天津"], 0)


FOREIGN = {
    "cluener": '{"text": "赵伟", "label": {"name": {"赵伟": [[0, 1]]}}}',
    "doccano": '{"id": 1, "text": "赵伟", "labels": [[0, 2, "name"]]}',
    "label-studio": '{"id": 1, "data": {"text": "赵伟"}, "annotations": []}',
    "tokens": '{"tokens": ["赵", "伟"], "ner_tags": ["B-name", "I-name"]}',
    "spans": '{"text": "赵伟", "spans": [{"start": 0, "end": 2, "label": "name"}]}',
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_format_is_one_problem_that_says_how_to_convert_it(tmp_path, name):
    for file in ("train.jsonl", "dev.jsonl"):
        (tmp_path / file).write_text(f"{FOREIGN[name]}\n" * 50, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_splits([LabelledFile(tmp_path / "train.jsonl")], [LabelledFile(tmp_path / "dev.jsonl")])
    first, *lines = str(raised.value).splitlines()
    assert first.startswith("2 problems in ")
    for line, file in zip(lines, ("train.jsonl", "dev.jsonl"), strict=True):
        assert f'{file}:1: no "entities", but ' in line
        assert "'distillex data convert' makes a training file of it" in line


def test_the_texts_of_a_file_of_another_format_are_raw_text(tmp_path):
    (tmp_path / "data.jsonl").write_text(FOREIGN["cluener"] + '\n{"text": "上海"}\n', encoding="utf-8")
    assert read_raw([tmp_path / "data.jsonl"], max_length=9) == (["赵伟", "上海"], 0)


@pytest.mark.parametrize("content", [FOREIGN["cluener"], '[\n {\n  "text": "赵伟"', '[{"text": "赵伟"}]'])
def test_json_is_no_raw_text(tmp_path, content):
    (tmp_path / "data.json").write_text(content + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"data\.json:1: JSON, not a sentence"):
        read_raw([tmp_path / "data.json"], max_length=99)


def test_text_in_brackets_is_raw_text(tmp_path):
    (tmp_path / "raw.txt").write_text("[1]\n{甲}\n5\n", encoding="utf-8")
    assert read_raw([tmp_path / "raw.txt"], max_length=9) == (["[1]", "{甲}", "5"], 0)


@pytest.mark.parametrize("unlabelled", ["train", "dev"])
def test_files_in_which_nothing_is_labelled_are_refused(tmp_path, unlabelled):
    for name in ("train", "dev"):
        line = record("甲乙") if name == unlabelled else GOOD
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"{unlabelled}\.jsonl: no entity is labelled in it"):
        read_splits([LabelledFile(tmp_path / "train.jsonl")], [LabelledFile(tmp_path / "dev.jsonl")])
