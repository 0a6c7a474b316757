"""Writers of other tools' files: what is written and read again is the same, and what a format cannot hold is named."""

import json
import random
from pathlib import Path

import pytest
from distillex_training.data.convert import input_files, read_any
from distillex_training.data.exporting import export_records
from distillex_training.data.formats.options import ReadingOptions, Scheme
from distillex_training.data.formats.registry import FORMATS, Format
from distillex_training.data.formats.writing import Output
from distillex_training.data.records import GoldSpan, OpenSpan, Record
from distillex_training.errors import DataError

HERE = Path("train.jsonl")
TEXT = "😀赵伟在北京大学，他说：“好”。"
SPANS = (GoldSpan(1, 3, "name"), GoldSpan(4, 8, "organization"))
NEEDS = {Format.SPACY: "spacy", Format.PARQUET: "pyarrow"}
CHARACTERS = "赵伟在大学aO1#-_[{,;\"'\\ \u3000\u200b\ufeff😀\t\n\r"
WRITTEN = list(FORMATS)


def record(text=TEXT, spans=SPANS, line=1, **more):
    return Record(HERE, line, text, tuple(sorted(spans)), **more)


def write(kind, records, path, scheme=Scheme.BIO2, **options):
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind])
    return export_records(records, kind, Output(path, scheme, **options))


def read_back(path, kind=Format.AUTO, **options):
    """Read what was written, as a user would: what it is tells the file itself."""
    readings = [read_any(file, kind, ReadingOptions(**options)) for file in input_files([path])]
    assert [problem for reading in readings for problem in reading.problems] == []
    return [(each.text, each.spans) for reading in readings for each in reading.records]


def random_records(count, seed):
    generator = random.Random(seed)
    for number in range(count):
        text = "".join(generator.choices(CHARACTERS, k=generator.randint(1, 12))) + generator.choice("赵1")
        spans = set()
        for _ in range(generator.randint(0, 3)):
            start = generator.randrange(len(text))
            kind = generator.choice(("name", "地名", "a.b") if number % 4 else ("name", "a b"))
            spans.add(GoldSpan(start, generator.randint(start + 1, len(text)), kind))
        yield record(text, spans, line=number + 1)


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_is_written_and_read_again_is_the_same(tmp_path, kind):
    # A file of many records, and files of few, whose first record tells the format.
    files = [list(random_records(80, 1)), [record("#", ())], *(list(random_records(2, seed)) for seed in range(2, 14))]
    refused = 0
    for number, records in enumerate(files):
        path = tmp_path / str(number)
        try:
            exported = write(kind, records, path)
        except DataError:
            refused += len(records)
            assert not path.exists()
            continue
        refused += exported.refused
        assert len(exported.records) + exported.refused == len(records)
        assert read_back(path) == [(each.text, each.spans) for each in exported.records]
    assert refused < 0.9 * sum(map(len, files))


@pytest.mark.parametrize("scheme", [Scheme.BIO2, Scheme.BIOES, Scheme.BMES, Scheme.BILOU])
@pytest.mark.parametrize("kind", [Format.COLUMNS, Format.CONLLU, Format.CSV_TAGS, Format.TOKENS, Format.PARQUET])
def test_tags_are_written_in_every_scheme(tmp_path, kind, scheme):
    neighbours = record("赵伟李娜在", (GoldSpan(0, 2, "name"), GoldSpan(2, 4, "name"), GoldSpan(4, 5, "place")))
    write(kind, [record(), neighbours], tmp_path / "out", scheme)
    assert read_back(tmp_path / "out") == [(each.text, each.spans) for each in (record(), neighbours)]


def test_columns_have_the_letters_of_their_scheme(tmp_path):
    spans = (GoldSpan(0, 3, "name"), GoldSpan(3, 4, "place"))
    tags = {
        Scheme.BIO2: "B-name I-name I-name B-place",
        Scheme.BIOES: "B-name I-name E-name S-place",
        Scheme.BMES: "B-name M-name E-name S-place",
        Scheme.BILOU: "B-name I-name L-name U-place",
    }
    for scheme, expected in tags.items():
        write(Format.COLUMNS, [record("诸葛亮蜀", spans)], tmp_path / "out.txt", scheme)
        lines = (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()
        assert [line.split("\t") for line in lines] == [
            list(pair) for pair in zip("诸葛亮蜀", expected.split(), strict=True)
        ]


NESTED = record("北京大学", (GoldSpan(0, 2, "place"), GoldSpan(0, 4, "organization")))


@pytest.mark.parametrize("kind", WRITTEN)
def test_overlapping_spans_are_kept_refused_or_flattened(tmp_path, kind):
    exported = write(kind, [NESTED, record()], tmp_path / "out")
    nested = (NESTED.text, NESTED.spans)
    if FORMATS[kind].nests:
        assert read_back(tmp_path / "out") == [nested, (TEXT, SPANS)]
        return
    assert exported.refused == 1
    assert f"train.jsonl:1: {kind.value}: its spans overlap (--flatten" in str(exported.problems[0])
    assert read_back(tmp_path / "out") == [(TEXT, SPANS)]
    flat = export_records([NESTED], kind, Output(tmp_path / "flat"), flatten=True)
    assert any("[0, 2) place: left out" in note for note in flat.notes)
    assert read_back(tmp_path / "flat") == [(NESTED.text, (GoldSpan(0, 4, "organization"),))]


@pytest.mark.parametrize("kind", WRITTEN)
def test_entities_may_be_given_in_any_order(tmp_path, kind):
    reversed_ = Record(HERE, 1, TEXT, SPANS[::-1])
    nested = Record(HERE, 2, NESTED.text, NESTED.spans[::-1])
    exported = write(kind, [reversed_, nested], tmp_path / "out")
    assert exported.refused == (0 if FORMATS[kind].nests else 1)
    kept = [(TEXT, SPANS), (NESTED.text, NESTED.spans)][: 2 - exported.refused]
    assert read_back(tmp_path / "out") == kept


@pytest.mark.parametrize("kind", [kind for kind in WRITTEN if kind is not Format.DISTILLEX])
def test_what_is_labelled_in_part_is_refused_and_what_stands_beside_is_noted(tmp_path, kind):
    partial = record(open=(OpenSpan(0, 1, ("time",)),))
    exported = write(kind, [partial, record(weight=0.5)], tmp_path / "out")
    assert "labelled in part" in str(exported.problems[0])
    assert len(exported.records) == 1
    assert "1 records have a weight or a domain" in exported.notes[-1]
    scored = write(kind, [record(spans=(GoldSpan(1, 3, "name", score=0.5), SPANS[1]))], tmp_path / "scored")
    assert scored.notes == [f"1 entities have a score, which {kind.value} does not hold"]


@pytest.mark.parametrize(
    ("kind", "name"), [(Format.CONLLU, "name|B"), (Format.UIE, "赵伟的学校"), (Format.UIE, "kind[a，b]")]
)
def test_a_type_that_would_be_read_as_something_else_is_refused(tmp_path, kind, name):
    exported = write(kind, [record(spans=(GoldSpan(1, 3, name),)), record()], tmp_path / "out")
    (problem,) = exported.problems
    assert problem.reason == f"{kind.value}: the type {name!r} is read as something else"
    assert read_back(tmp_path / "out") == [(TEXT, SPANS)]


def test_our_own_format_holds_everything(tmp_path):
    full = record(
        spans=(GoldSpan(1, 3, "name", ("nick",)),), open=(OpenSpan(0, 1, ("time",)),), weight=0.5, domain="news"
    )
    write(Format.DISTILLEX, [full], tmp_path / "out.jsonl")
    (read,) = read_any(tmp_path / "out.jsonl").records
    assert (read.text, read.spans, read.open, read.weight, read.domain) == (
        full.text,
        full.spans,
        full.open,
        0.5,
        "news",
    )


def test_what_columns_cannot_hold_is_named(tmp_path):
    records = [record("甲\n乙", ()), record("甲乙", (GoldSpan(0, 1, "a b"),)), record("甲", ())]
    exported = write(Format.COLUMNS, records, tmp_path / "out")
    assert [problem.reason for problem in exported.problems] == [
        "columns: its text holds '\\n'",
        "columns: the type 'a b' has white space",
    ]
    assert len(exported.records) == 1


def test_nothing_to_write_is_an_error_and_no_file(tmp_path):
    with pytest.raises(DataError, match=r"no record can be written as columns: train\.jsonl:1: .*overlap"):
        write(Format.COLUMNS, [NESTED], tmp_path / "out")
    with pytest.raises(DataError, match="there is no entity of any"):
        write(Format.UIE, [record(spans=())], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_brat_has_a_document_a_record_and_cuts_an_entity_at_a_line_end(tmp_path):
    folder = tmp_path / "brat"
    write(Format.BRAT, [record(), record("北京\n大学", (GoldSpan(0, 5, "org"),))], folder)
    assert sorted(path.name for path in folder.iterdir()) == ["1.ann", "1.txt", "2.ann", "2.txt", "annotation.conf"]
    assert (folder / "1.ann").read_text(encoding="utf-8") == "T1\tname 1 3\t赵伟\nT2\torganization 4 8\t北京大学\n"
    assert (folder / "2.ann").read_text(encoding="utf-8") == "T1\torg 0 2;3 5\t北京 大学\n"
    assert "[entities]\nname\norg\norganization\n" in (folder / "annotation.conf").read_text(encoding="utf-8")
    with pytest.raises(DataError, match="not an empty one"):
        write(Format.BRAT, [record()], folder)


def test_spacy_reads_what_is_written(tmp_path):
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import DocBin

    write(Format.SPACY, [record(), NESTED, record("无", ())], tmp_path / "out.spacy")
    documents = list(DocBin().from_disk(tmp_path / "out.spacy").get_docs(spacy.blank("zh").vocab))
    assert [document.text for document in documents] == [TEXT, NESTED.text, "无"]
    assert [(e.start_char, e.end_char, e.label_) for e in documents[0].ents] == [(1, 3, "name"), (4, 8, "organization")]
    assert len(documents[1].spans["sc"]) == 2
    assert documents[2].has_annotation("ENT_IOB")
    write(Format.SPACY_JSON, [record()], tmp_path / "out.json")
    ((text, labels),) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    example = spacy.training.Example.from_dict(spacy.blank("zh").make_doc(text), labels)
    assert [(e.start_char, e.end_char, e.label_) for e in example.reference.ents] == [
        (1, 3, "name"),
        (4, 8, "organization"),
    ]


def test_parquet_names_its_tags_as_datasets_reads_them(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write(Format.PARQUET, [record()], tmp_path / "out.parquet")
    schema = parquet.read_schema(tmp_path / "out.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    names = ["O", "B-name", "I-name", "B-organization", "I-organization"]
    assert features["ner_tags"] == {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}
    row = parquet.read_table(tmp_path / "out.parquet").to_pylist()[0]
    assert [names[tag] for tag in row["ner_tags"]][:4] == ["O", "B-name", "I-name", "O"]


def test_what_a_model_labelled_goes_to_an_annotation_tool_as_such(tmp_path):
    prelabelled = {"model": "student", "confidences": (0.25,)}
    write(Format.LABEL_STUDIO, [record()], tmp_path / "ls.json", **prelabelled)
    (task,) = json.loads((tmp_path / "ls.json").read_text(encoding="utf-8"))
    assert "annotations" not in task
    assert task["predictions"][0]["model_version"] == "student"
    assert task["predictions"][0]["score"] == 0.25
    # Nobody has looked at it: it is no label unless that is asked for.
    reading = read_any(tmp_path / "ls.json")
    assert reading.records == []
    assert "a model's predictions alone (--predictions takes them)" in reading.problems[0].reason
    assert read_back(tmp_path / "ls.json", predictions=True) == [(TEXT, SPANS)]
    # It comes back as the tool exports it, corrected by a person.
    task["annotations"] = [{"was_cancelled": False, "result": task["predictions"][0]["result"][:1]}]
    (tmp_path / "back.json").write_text(json.dumps([task]), encoding="utf-8")
    assert read_back(tmp_path / "back.json", predictions=True) == [(TEXT, SPANS[:1])]
    for kind, where in ((Format.PRODIGY, ("meta", "confidence")), (Format.DOCCANO, ("confidence",))):
        write(kind, [record()], tmp_path / "out.jsonl", **prelabelled)
        value = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
        for key in where:
            value = value[key]
        assert value == 0.25
        assert read_back(tmp_path / "out.jsonl") == [(TEXT, SPANS)]
