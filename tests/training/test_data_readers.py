"""Readers of the files of other tools: the records that they hold, or a sentence that says why not."""

import json
import random

import pytest
from distillex_training.data.convert import input_files, read_any, sentences_of
from distillex_training.data.formats.options import Offsets, ReadingOptions, Scheme
from distillex_training.data.formats.reading import Source
from distillex_training.data.formats.registry import Format, detect
from distillex_training.data.records import GoldSpan, OpenSpan, Record, read_records
from distillex_training.errors import DataError

TEXT = "赵伟在北京大学"
SPANS = [(0, 2, "PER"), (3, 7, "ORG")]
TAGS = ["B-PER", "I-PER", "O", "B-ORG", "I-ORG", "I-ORG", "I-ORG"]


@pytest.fixture
def read(tmp_path):
    def run(*values, name="file", kind=Format.AUTO, **options):
        path = tmp_path / name
        lines = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        return read_any(path, kind, ReadingOptions(**options))

    return run


def found(reading):
    return [(record.text, [(s.start, s.end, s.type) for s in record.spans]) for record in reading.records]


def reasons(reading):
    return [problem.reason for problem in reading.problems]


def region(start, end, text, *labels, **more):
    return {"type": "labels", "value": {"start": start, "end": end, "text": text, "labels": list(labels)} | more}


def task(*results, text=TEXT, **more):
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": list(results)}]} | more


GOOD = (region(0, 2, "赵伟", "PER"), region(3, 7, "北京大学", "ORG"))
SPACY_PAIR = [TEXT, {"entities": [[0, 2, "PER"], [3, 7, "ORG"]]}]
MINIMAL = [{"start": 0, "end": 2, "text": "赵伟", "labels": ["PER"]}, {"start": 3, "end": 7, "labels": ["ORG"]}]
KNOWN = {
    "tokens": (Format.TOKENS, {"tokens": list(TEXT), "ner_tags": TAGS}),
    "text as a list": (Format.TOKENS, {"id": "a", "text": list(TEXT), "labels": TAGS}),
    "tokens that are words": (
        Format.TOKENS,
        {"words": ["赵伟", "在", "北京", "大学"], "tags": ["B-PER", "O", "B-ORG", "I-ORG"]},
    ),
    "spaCy pair": (Format.SPACY_JSON, SPACY_PAIR),
    "spaCy document": (
        Format.SPACY_JSON,
        {"text": TEXT, "ents": [{"start": 0, "end": 2, "label": "PER"}, {"start": 3, "end": 7, "label": "ORG"}]},
    ),
    "spaCy annotator": (Format.SPACY_JSON, {"classes": ["PER", "ORG"], "annotations": [SPACY_PAIR, None]}),
    "GLiNER": (Format.GLINER, {"tokenized_text": list(TEXT), "ner": [[0, 1, "PER"], [3, 6, "ORG"]]}),
    "Prodigy": (
        Format.PRODIGY,
        {
            "text": TEXT,
            "spans": [{"start": 0, "end": 2, "label": "PER"}, {"start": 3, "end": 7, "label": "ORG"}],
            "answer": "accept",
        },
    ),
    "spans alone": (
        Format.PRODIGY,
        {
            "id": 1,
            "text": TEXT,
            "spans": [{"start": 0, "end": 2, "label": "PER"}, {"start": 3, "end": 7, "label": "ORG"}],
        },
    ),
    "doccano entities": (Format.DOCCANO, {"id": 1, "text": TEXT, "entities": [[0, 2, "PER"], [3, 7, "ORG"]]}),
    "Label Studio": (Format.LABEL_STUDIO, task(*GOOD)),
    "Label Studio's storage": (
        Format.LABEL_STUDIO,
        {"id": 7, "result": list(GOOD), "task": {"id": 1, "data": {"text": TEXT}}, "was_cancelled": False},
    ),
    "Label Studio's short form": (Format.LABEL_STUDIO, {"id": 1, "text": TEXT, "label": MINIMAL, "annotator": 1}),
    "Label Studio's other fields": (
        Format.LABEL_STUDIO,
        {"id": 1, "content": TEXT, "ner": MINIMAL, "annotator": 1, "created_at": "2024-01-01"},
    ),
}


@pytest.mark.parametrize("form", ["line", "lines", "array", "indented"])
@pytest.mark.parametrize("name", KNOWN)
def test_json_is_recognised_and_read_whatever_stands_between_the_records(read, tmp_path, name, form):
    kind, value = KNOWN[name]
    contents = {
        "line": [value],
        "lines": [value, value],
        "array": [json.dumps([value, value], ensure_ascii=False)],
        "indented": [json.dumps([value, value], ensure_ascii=False, indent=1)],
    }
    reading = read(*contents[form])
    assert detect(Source(tmp_path / "file")) is kind
    assert found(reading) == [(TEXT, SPANS)] * (1 if form == "line" else 2)
    assert reading.problems == []


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("[\n", '\n]\n{"text": "另"}', 4, """'{"text": "另"}' follows the end of the JSON array"""),
        ("[", '][{"text": "另"}]', 1, """'[{"text": "另"}]' follows the end of the JSON array"""),
        ("[", '\n{"text": "另"}]', 2, """a comma or ] is missing before '{"text": "另"}]'"""),
    ],
)
def test_what_stands_after_an_array_or_without_a_comma_in_it_is_a_problem(read, before, after, line, reason):
    reading = read(f"{before}{json.dumps(KNOWN['doccano entities'][1], ensure_ascii=False)}{after}")
    assert found(reading) == [(TEXT, SPANS)]
    assert reading.refused == 1
    ((at, told),) = [(problem.line, problem.reason) for problem in reading.problems]
    assert (at, told) == (line, f"{reason}; the rest of the file was not read")


def test_a_single_indented_object_is_one_record(read):
    assert found(read(json.dumps(task(*GOOD), indent=1))) == [(TEXT, SPANS)]


def test_the_format_is_told_by_the_first_record_that_has_a_label(read):
    empty = {"id": 1, "text": "无", "entities": []}
    assert found(read(empty, KNOWN["doccano entities"][1])) == [("无", []), (TEXT, SPANS)]
    ours = {"text": TEXT, "entities": [{"start": 0, "end": 2, "type": "PER"}]}
    assert found(read(empty, ours)) == [("无", []), (TEXT, SPANS[:1])]


def test_a_bracket_that_is_a_token_is_no_json(read):
    assert found(read("[ O", "赵 B-PER", "] O", "", "{ O")) == [("[赵]", [(1, 2, "PER")]), ("{", [])]


def test_uie_lines_of_one_text_are_one_record(read):
    def line(prompt, *results):
        listed = [{"text": TEXT[start:end], "start": start, "end": end} for start, end in results]
        return {"content": TEXT, "result_list": listed, "prompt": prompt}

    reading = read(
        line("人名", (0, 2)),
        line("机构", (3, 7)),
        line("时间"),
        line("赵伟的单位", (3, 7)),
        line("情感倾向[正向，负向]"),
    )
    assert found(reading) == [(TEXT, [(0, 2, "人名"), (3, 7, "机构")])]
    assert "2 lines passed over whose prompt is no type" in reading.notes[0]
    wrong = line("人名", (0, 2)) | {"result_list": [{"text": "赵大", "start": 0, "end": 2}]}
    assert "is '赵伟', not '赵大'" in reasons(read(wrong))[0]


def test_prodigy_examples_that_were_not_accepted_are_passed_over(read):
    accepted = KNOWN["Prodigy"][1]
    reading = read(
        accepted,
        accepted | {"answer": "reject"},
        accepted | {"answer": "ignore"},
        {"text": "无", "answer": "accept"},
        {"text": "甲"},
    )
    assert found(reading) == [(TEXT, SPANS), ("无", [])]
    assert reasons(reading) == ['no list "spans": this text is not labelled']
    assert [note.split(": ")[1] for note in reading.notes] == [
        "1 examples with the answer 'reject' passed over",
        "1 examples with the answer 'ignore' passed over",
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            task(region(0, 2, "赵伟", "PER", "JOB")),
            "task 1: the span [0, 2) '赵伟' has 2 labels (PER, JOB); one is accepted",
        ),
        (task(region(0, 2, "赵伟")), "task 1: the span [0, 2) '赵伟' has no label"),
        (
            task({"type": "labels", "value": {"start": 0, "end": 2, "text": "赵伟"}}),
            "task 1: the span [0, 2) '赵伟' has no label",
        ),
        (
            task({"type": "hypertextlabels", "value": {"start": "/p[1]", "end": "/p[1]", "hypertextlabels": ["PER"]}}),
            "task 1: labels of a web page are not read: its text is not what its offsets count; label plain text",
        ),
        (
            task(*GOOD) | {"data": {"text": [{"author": "a", "text": TEXT}]}},
            "task 1: labels of a dialogue are not read; label its turns as texts of their own",
        ),
        (
            {"id": 1, "text": TEXT, "annotator": 1},
            "task 1: not annotated, or without entities: JSON-MIN does not tell them apart; export JSON",
        ),
        (
            {"id": 1, "text": TEXT, "annotator": 1, "choice": []},
            "task 1: not annotated, or without entities: JSON-MIN does not tell them apart; export JSON",
        ),
    ],
    ids=["two labels", "no label", "no labels", "web page", "dialogue", "not annotated", "an empty list"],
)
def test_what_label_studio_cannot_give_is_one_plain_sentence(read, value, reason):
    assert reasons(read(value)) == [reason]


def test_json_min_has_labels_under_several_keys(read):
    minimal = {"id": 1, "text": TEXT, "annotator": 1}
    assert found(read(minimal | {"relations": [], "people": MINIMAL[:1], "others": MINIMAL[1:]})) == [(TEXT, SPANS)]
    assert found(read(minimal | {"relations": [], "label": MINIMAL})) == [(TEXT, SPANS)]


@pytest.mark.parametrize(
    ("text", "start", "end", "how"),
    [
        ("😀😀赵伟", 4, 6, "in UTF-16 units"),
        ("一\r\n赵伟", 2, 4, "with each line end as one character"),
        ("😀😀\r\n赵伟", 5, 7, "in UTF-16 units, with each line end as one"),
        ("一\n赵伟", 3, 5, "with each line end as two characters"),
    ],
)
def test_offsets_that_were_counted_otherwise_are_put_right_by_their_surface(read, text, start, end, how):
    expected = [(text, [(len(text) - 2, len(text), "PER")])]
    labels = {"PER": {"赵伟": [[start, end - 1]]}}
    uie = {"content": text, "result_list": [{"text": "赵伟", "start": start, "end": end}], "prompt": "PER"}
    for value in (task(region(start, end, "赵伟", "PER"), text=text), {"text": text, "label": labels}, uie):
        reading = read(value)
        assert found(reading) == expected
        assert reading.notes == [
            f"{reading.path}: 1 spans were counted {how}; put right by the surfaces given for them"
        ]
        assert (
            "is " in reasons(read(value, offsets=Offsets.CODE_POINTS))[0]
            or "does not lie" in reasons(read(value, offsets=Offsets.CODE_POINTS))[0]
        )


def test_all_spans_of_a_text_are_counted_in_one_way(read):
    # Counted in code points the first one would have its surface too, at the second 赵.
    regions = region(2, 3, "赵", "A"), region(4, 5, "伟", "B"), region(3, 4, None, "C")
    reading = read(task(*regions, text="😀赵赵伟"))
    assert found(reading) == [("😀赵赵伟", [(1, 2, "A"), (2, 3, "C"), (3, 4, "B")])]
    assert reading.notes == [
        f"{reading.path}: 3 spans were counted in UTF-16 units; put right by the surfaces given for them"
    ]


def test_a_span_that_utf_16_cannot_count_is_refused(read):
    value = {"text": "😀赵伟", "label": [[1, 3, "PER"]]}
    assert reasons(read(value, offsets=Offsets.UTF_16)) == [
        "the span [1, 3) PER does not lie between characters of the text, counted in UTF-16 units"
    ]


def test_a_span_that_is_merely_wrong_is_not_put_right(read):
    for start in (1, 2, 3):
        assert "not '赵伟'" in reasons(read(task(region(start, start + 2, "赵伟", "PER"))))[0]


def test_offsets_without_a_surface_are_code_points_unless_told(read):
    value = {"text": "😀赵伟", "label": [[2, 4, "PER"]]}
    (reason,) = reasons(read(value))
    assert reason.startswith("the span [2, 4) does not lie in a text of 3 code points, 'PER'; counted in UTF-16 units")
    assert found(read(value, offsets=Offsets.UTF_16)) == [("😀赵伟", [(1, 3, "PER")])]
    doubtful = read({"text": "😀赵伟", "label": [[1, 3, "PER"]]})
    assert found(doubtful) == [("😀赵伟", [(1, 3, "PER")])]
    assert "1 labelled texts hold characters such as emoji" in doubtful.notes[0]
    assert read({"text": "😀赵伟", "label": [[1, 3, "PER"]]}, offsets=Offsets.CODE_POINTS).notes == []


def test_doccano_labels_that_are_numbers_or_of_the_whole_text_are_refused(read):
    numbered = {"text": TEXT, "annotations": [{"label": 2, "start_offset": 0, "end_offset": 2}]}
    assert "label number 2, which names no type" in reasons(read(numbered))[0]
    assert "'positive' is a label of the whole text" in reasons(read({"text": TEXT, "label": ["positive"]}))[0]


def test_an_empty_list_of_doccano_hides_no_labels_under_another_key(read):
    entities = KNOWN["doccano entities"][1]
    assert found(read({"label": [], **entities})) == [(TEXT, SPANS)]
    assert found(read({"id": 1, "text": "无", "label": []}, kind=Format.DOCCANO)) == [("无", [])]


def test_what_label_studio_says_of_a_span_beside_its_label_is_passed_over(read):
    choices = {"type": "choices", "value": {"start": 0, "end": 2, "text": "赵伟", "choices": ["sure"]}}
    comment = {"type": "textarea", "value": {"start": 0, "end": 2, "text": ["see above"]}}
    reading = read(task(*GOOD, choices, comment))
    assert found(reading) == [(TEXT, SPANS)]
    assert "2 results passed over" in reading.notes[0]


def test_tags_that_are_numbers_need_names(read):
    value = {"tokens": list(TEXT), "ner_tags": [1, 2, 0, 3, 4, 4, 4]}
    names = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG")
    with pytest.raises(DataError, match=r"file:1: its tags are numbers \(1\): name them in order, such as --tag-names"):
        read(value)
    assert found(read(value, tag_names=names)) == [(TEXT, SPANS)]
    assert "the tag 4 has no name: 4 are named" in reasons(read(value, tag_names=names[:4]))[0]
    with pytest.raises(DataError, match="tag names: 'PER' is no tag"):
        read(value, tag_names=("O", "PER"))


def test_a_row_of_tokens_with_a_wrong_tag_is_refused_by_token(read):
    assert reasons(read({"tokens": ["赵", "伟"], "ner_tags": ["B-PER", "X"]}))[0].startswith(
        "token 1 '伟': 'X' is no tag"
    )
    assert reasons(read({"tokens": ["赵", "伟"], "ner_tags": ["B-PER"]})) == ["2 tokens, but 1 tags"]
    assert (
        "token 1 '伟': I-ORG follows an entity of type PER"
        in reasons(read({"tokens": ["赵", "伟"], "ner_tags": ["B-PER", "I-ORG"]}))[0]
    )
    assert "token 1 '伟': E-PER is no tag of bio2" in reasons(
        read({"tokens": ["赵", "伟"], "ner_tags": ["B-PER", "E-PER"]}, scheme=Scheme.BIO2)
    )


def test_mixed_schemes_are_refused_and_the_file_is_told_of(read):
    reading = read("赵 B-PER", "伟 I-PER", "在 O", "", "北 B-LOC", "京 E-LOC")
    assert found(reading) == [("北京", [(0, 2, "LOC")])]
    assert reasons(reading) == ["the entity of type PER that begins here has no end (E-PER)"]
    assert "part them and name each with --scheme" in reading.notes[0]
    assert "line 2: E-PRE is of another" in reasons(read("赵 B-PER", "伟 E-PRE"))[0]


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_comments_between_columns_are_passed_over_and_a_hash_is_a_token(read, separator):
    def line(token, tag):
        return f"{token}{separator}{tag}"

    comments = ["# sent_id = 1", "# text = #赵", "# a comment of several words"]
    reading = read(*comments, line("#", "O"), line("赵", "B-PER"), line("#", "O"), "# sent_id = 2", "", line("#", "O"))
    assert found(reading) == [("#赵#", [(1, 2, "PER")]), ("#", [])]
    assert "4 comments (#) passed over" in reading.notes[0]
    assert found(read(line("#", "O"))) == [("#", [])]
    assert "has no tag" in reasons(read(line("赵", "O"), "#"))[0]


def conllu(*rows):
    return ["\t".join([str(i), form, *["_"] * 7, misc]) for i, (form, misc) in enumerate(rows, start=1)]


def test_conllu_is_read_with_its_text(read):
    words = conllu(("赵伟", "B-PER"), ("在", "O"), ("北京", "NER=B-ORG|SpaceAfter=No"), ("大学", "NER=I-ORG"))
    assert found(read("# sent_id = s1", f"# text = {TEXT}", *words)) == [(TEXT, SPANS)]
    assert found(read("# text = 赵伟 在北京 大学", *words)) == [("赵伟 在北京 大学", [(0, 2, "PER"), (4, 9, "ORG")])]
    # Without a text SpaceAfter says where spaces are, if it stands anywhere.
    assert found(read(*words)) == [("赵伟 在 北京大学", [(0, 2, "PER"), (5, 9, "ORG")])]
    assert found(read(*conllu(("赵伟", "B-PER"), ("在", "O")))) == [("赵伟在", [(0, 2, "PER")])]


def test_conllu_that_cannot_be_read_is_named(read):
    words = conllu(("赵伟", "B-PER"), ("在", "_"))
    assert "'在' does not follow in the sentence's text at character 2" in reasons(read("# text = 赵伟不在", *words))[0]
    assert "a word that stands for several" in reasons(read(words[0], words[1].replace("2\t", "2-3\t", 1)))[0]
    assert "9 columns; CoNLL-U has 10" in reasons(read(words[0], words[1].removesuffix("\t_")))[0]
    assert "'X-PER' is no tag" in reasons(read(*words, *conllu(("好", "NER=X-PER"))))[0]
    with pytest.raises(DataError, match=r"no word has a tag in the last column"):
        read(*conllu(("赵伟", "_"), ("在", "SpaceAfter=No")))


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_tables_of_tokens_and_tags_are_read(read, delimiter):
    rows = [["sentence_id", "token", "tag"], *([str(n), c, t] for n in (1, 2) for c, t in zip(TEXT, TAGS, strict=True))]
    assert found(read(*(delimiter.join(row) for row in rows))) == [(TEXT, SPANS)] * 2
    # As spreadsheets have it: the sentence's name in its first row alone.
    sparse = [
        ["Sentence #", "Word", "POS", "Tag"],
        ["Sentence: 1", "赵", "N", "B-PER"],
        ["", '","', "N", "O"],
        ["Sentence: 2", "好", "A", "O"],
    ]
    lines = [delimiter.join(row if delimiter == "," else [cell.replace('","', ",") for cell in row]) for row in sparse]
    assert found(read(*lines)) == [("赵,", [(0, 1, "PER")]), ("好", [])]
    assert found(read("token,tag", "赵,B-PER", ",", "好,O")) == [("赵", [(0, 1, "PER")]), ("好", [])]


def test_bad_rows_of_a_table_are_named_with_their_line(read):
    reading = read("token,tag", "赵,B-PER", "伟", "", "好,X", "", "天,O")
    assert found(reading) == [("天", [])]
    assert [(problem.line, problem.reason.split(":")[0]) for problem in reading.problems] == [
        (3, "1 columns; the heading has 2"),
        (5, "'X' is no tag"),
    ]
    with pytest.raises(DataError, match="no heading with a column of tokens"):
        read("甲,乙", kind=Format.CSV_TAGS)


def brat(folder, text, *lines, name="a"):
    (folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
    (folder / f"{name}.ann").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder / f"{name}.ann"


def test_brat_is_read_by_document(tmp_path):
    relation = ("R1\tat Arg1:T1 Arg2:T2", "A1\tSure T1", "#1\tNote T1\tx", "E1\tMeet:T3 Arg1:T1", "*\tEquiv T1 T2")
    brat(tmp_path, TEXT, "T1\tPER 0 2\t赵伟", "T2\tORG 3 7\t北京大学", "T3\tMeet 2 3\t在", *relation)
    brat(tmp_path, "无", name="b")
    (tmp_path / "annotation.conf").write_text("[entities]\nPER\n", encoding="utf-8")
    files = input_files([tmp_path])
    assert [path.name for path in files] == ["a.ann", "b.ann"]
    assert input_files([tmp_path / "a.txt"]) == files[:1]
    readings = [read_any(path) for path in files]
    assert [found(reading) for reading in readings] == [[(TEXT, SPANS)], [("无", [])]]
    assert "6 annotations passed over that are no entities" in readings[0].notes[0]


def test_brat_entities_in_pieces_are_read_over_a_line_end_alone(tmp_path):
    path = brat(tmp_path, "北京\r\n大学在", "T1\tORG 0 2;4 6\t北京 大学")
    assert found(read_any(path)) == [("北京\r\n大学在", [(0, 6, "ORG")])]
    path = brat(tmp_path, TEXT, "T1\tORG 0 2;5 7\t赵伟 大学")
    assert reasons(read_any(path)) == [
        "line 1: ORG 0 2;5 7 '赵伟 大学' is in pieces: an entity is one stretch of text here"
    ]
    path = brat(tmp_path, TEXT, "T1\tORG 0 4\t赵伟在北", "T2\tPER 0 2\t赵伟")
    assert found(read_any(path)) == [(TEXT, [(0, 2, "PER"), (0, 4, "ORG")])]


def test_brat_with_a_byte_order_mark_or_a_wrong_line(tmp_path):
    assert found(read_any(brat(tmp_path, "\ufeff" + TEXT, "T1\tPER 1 3\t赵伟"))) == [(TEXT, [(0, 2, "PER")])]
    reading = read_any(brat(tmp_path, TEXT, "T1\tPER 1 3\t赵伟", "T2 PER", "?"))
    assert len(reasons(reading)) == 3
    assert reading.refused == 1
    path = tmp_path / "lonely.ann"
    path.write_text("T1\tPER 0 2\t赵伟\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"lonely\.ann: no text beside it: .*lonely\.txt is missing"):
        read_any(path)


def test_saved_data_sets_are_read_by_split(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    features = {"ner_tags": {"feature": {"names": ["O", "B-PER", "I-PER", "B-ORG", "I-ORG"], "_type": "ClassLabel"}}}
    table = pyarrow.table(
        {"tokens": [list(TEXT)] * 2, "ner_tags": [[1, 2, 0, 3, 4, 4, 4]] * 2},
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        with pyarrow.ipc.new_stream(tmp_path / split / "data.arrow", table.schema) as stream:
            stream.write_table(table)
        state = {"_data_files": [{"filename": "data.arrow"}], "_indices_data_files": None}
        (tmp_path / split / "state.json").write_text(json.dumps(state), encoding="utf-8")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}', encoding="utf-8")
    files = input_files([tmp_path])
    assert [path.name for path in files] == ["train", "validation"]
    assert [found(read_any(path)) for path in files] == [[(TEXT, SPANS)] * 2] * 2
    assert input_files([tmp_path / "train"]) == [tmp_path / "train"]
    (tmp_path / "train" / "data.arrow").write_bytes(b"\xff\xff\xff\xff broken")
    with pytest.raises(DataError, match="pyarrow does not read it"):
        read_any(tmp_path / "train")
    other = pyarrow.table({"text": ["a"]})
    with pyarrow.ipc.new_file(tmp_path / "other.arrow", other.schema) as file:
        file.write_table(other)
    with pytest.raises(DataError, match=r"other\.arrow: its columns are 'text'; expected tokens"):
        read_any(tmp_path / "other.arrow")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04rest", "an Excel file or another archive: save the table as CSV"),
        (b"\x1f\x8brest", "compressed by gzip"),
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf\r\n", "the file is empty"),
        (b'{"x": 1}', "its first record has the keys 'x': none of the known formats; accepted: columns, "),
        (b"[1, 2]", "its first record is [1, 2]: none of the known formats"),
        (b'{"id": 0, "paragraphs": []}', "spaCy 2's training format; 'python -m spacy convert'"),
    ],
)
def test_what_is_no_labelled_file_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_any(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert reason in str(raised.value)


def test_bytes_that_are_no_docbin_are_refused(tmp_path):
    pytest.importorskip("spacy")
    path = tmp_path / "file.spacy"
    path.write_bytes(b"\x78\x9c rest")
    with pytest.raises(DataError, match="spaCy does not read it as a DocBin"):
        read_any(path)


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "doccano entities"])
def test_a_training_file_of_another_format_says_to_convert_it(tmp_path, name):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(KNOWN[name][1], ensure_ascii=False) + "\n", encoding="utf-8")
    problems = read_records(path).problems
    assert len(problems) == 1
    assert "'distillex data convert' makes a training file of it" in problems[0].reason or name == "text as a list"


def test_a_training_file_of_columns_or_an_array_is_one_problem(tmp_path):
    path = tmp_path / "train.jsonl"
    for content in ("赵 B-PER\n伟 I-PER\n", "[\n{}\n]\n", '[{"text": "赵"}]\n', "{\n"):
        path.write_text(content, encoding="utf-8")
        (problem,) = read_records(path).problems
        assert problem.line == 1
        assert "the file is not in this format; 'distillex data convert' makes a training file" in problem.reason


def test_an_entity_of_our_own_format_is_what_its_text_says(tmp_path):
    path = tmp_path / "train.jsonl"
    entity = {"start": 0, "end": 2, "type": "PER", "text": "赵伟", "score": 0.9}
    path.write_text(
        json.dumps({"text": TEXT, "entities": [entity]})
        + "\n"
        + json.dumps({"text": TEXT, "entities": [entity | {"text": "赵大"}]}),
        encoding="utf-8",
    )
    file = read_records(path)
    assert len(file.records) == 1
    assert [str(problem) for problem in file.problems] == [f"{path}:2: the span [0, 2) PER is '赵伟', not '赵大'"]
    for entities in ("[1]", "[[0, 2]]", "1"):
        path.write_text(f'{{"entities": {entities}}}\n{{"text": "赵", "entities": {entities}}}\n', encoding="utf-8")
        assert [problem.line for problem in read_records(path).problems] == [1, 2]


def test_a_document_is_cut_into_sentences_outside_its_entities(tmp_path):
    text = "赵伟来了。\n\n《你好！世界》在 北京。 好"
    spans = (GoldSpan(0, 2, "PER"), GoldSpan(7, 14, "BOOK"), GoldSpan(16, 18, "LOC"))
    assert text[7:14] == "《你好！世界》"
    parts = sentences_of(Record(tmp_path, 1, text, spans, (OpenSpan(0, len(text), ("time",)),), 0.5))
    assert [part.text for part in parts] == ["赵伟来了。", "《你好！世界》在 北京。", "好"]
    assert [[part.text[s.start : s.end] for s in part.spans] for part in parts] == [
        ["赵伟"],
        ["《你好！世界》", "北京"],
        [],
    ]
    assert all(part.open == (OpenSpan(0, len(part.text), ("time",)),) and part.weight == 0.5 for part in parts)


class CountedSpans(tuple):
    """Spans that count how often somebody looks through them."""

    looked = 0

    def __iter__(self):
        self.looked += 1
        return super().__iter__()


def test_a_document_of_many_sentences_is_cut_without_looking_through_its_spans_for_each(tmp_path):
    generator = random.Random(7)
    text = "".join(generator.choices("赵伟。！ ", k=400))
    starts = sorted(generator.sample(range(390), 30))
    spans = CountedSpans(GoldSpan(start, start + generator.randint(1, 9), "X") for start in starts)
    parts = sentences_of(Record(tmp_path, 1, text, spans))
    assert spans.looked <= 3
    assert len(parts) > 30
    surfaces = [part.text[span.start : span.end] for part in parts for span in part.spans]
    assert surfaces == [text[span.start : span.end] for span in spans]
    assert "".join("".join(part.text.split()) for part in parts) == "".join(text.split())
