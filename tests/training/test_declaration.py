"""What a corpus's types mean among a model's: read strictly, applied line by line."""

import json

import pytest
from distillex_training.data.declaration import Declaration, read_declaration, read_for_measuring
from distillex_training.data.labelled import read_labelled
from distillex_training.data.records import GoldSpan, OpenSpan, Problem, read_records
from distillex_training.errors import DataError

MODEL = ("name", "company", "government", "address", "product", "time")


@pytest.fixture
def declared(tmp_path):
    def write(content):
        path = tmp_path / "corpus.yaml"
        path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.fixture
def records(tmp_path):
    def write(*lines):
        path = tmp_path / "corpus.jsonl"
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        return read_records(path)

    return write


def labelled(text, *entities):
    return {"text": text, "entities": [{"start": s, "end": e, "type": t} for s, e, t in entities]}


def test_a_declaration_says_what_each_type_may_be(declared):
    path = declared(
        "types:\n  PER: name\n  ORG: [company, government]\n  RACE: none\n  misc: unknown\nopen: [time]\ntrim: '《》'\n"
    )
    declaration = read_declaration(path, MODEL)
    assert declaration.types == {"PER": ("name",), "ORG": ("company", "government"), "RACE": (), "misc": None}
    assert (declaration.open, declaration.trim) == (("time",), "《》")
    assert declaration.model_types == ("company", "government", "name", "time")


def test_open_all_means_the_models_types_or_without_them_the_declared_ones(declared):
    path = declared("types: {ORG: [company, government]}\nopen: all\n")
    assert read_declaration(path, MODEL).open == MODEL
    assert read_declaration(path).open == ("company", "government")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- PER", "expected the key 'types'"),
        ("open: [time]", "expected the key 'types'"),
        ("types: [PER]", "expected the key 'types'"),
        ("types: {PER: name}\nopened: [time]", "unknown key 'opened'; accepted keys: types, open, trim"),
        ("types: {PER: person}", "'person' is no type of the model; its types: name, company"),
        ("types: {PER: name}\nopen: [date]", "'date' is no type of the model"),
        ("types: {NO: name}", "types: YAML reads a name as False: write it in quotes"),
        ("types: {PER: 3}", "types: PER: 3 is neither a type nor a list of types"),
        ("types: {PER: [name, ' ']}", "is neither a type nor a list of types"),
        ("types: {PER: name}\nopen: time", "open: 'time' is neither a type nor a list"),
        ("types: {PER: name}\ntrim: 3", "trim: 3 is no text"),
        ("types: {PER: name", "corpus.yaml: "),
    ],
)
def test_what_is_no_declaration_is_refused_with_what_is_accepted(declared, content, message):
    path = declared(content)
    with pytest.raises(DataError) as refused:
        read_declaration(path, MODEL)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_missing_declaration_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.yaml"):
        read_declaration(tmp_path / "gone.yaml")


def test_records_are_read_in_terms_of_the_models_types(records):
    declaration = Declaration({"PER": ("name",), "ORG": ("company", "government"), "RACE": (), "misc": None})
    file = records(labelled("赵伟汉族北斗公司某物", (0, 2, "PER"), (2, 4, "RACE"), (4, 8, "ORG"), (8, 10, "misc")))
    (record,) = declaration.apply(file, MODEL).records
    assert record.spans == (GoldSpan(0, 2, "name"), GoldSpan(4, 8, "company", ("government",)))
    assert record.open == (OpenSpan(8, 10, MODEL),)


def test_a_span_of_several_types_may_be_what_any_of_them_may_be(records):
    declaration = Declaration({"ORG": ("company", "government"), "LOC": ("address", "government")})
    line = {"text": "北京", "entities": [{"start": 0, "end": 2, "type": "ORG", "also": ["LOC"]}]}
    (record,) = declaration.apply(records(line)).records
    assert record.spans == (GoldSpan(0, 2, "company", ("government", "address")),)


def test_open_types_may_stand_anywhere_in_the_text(records):
    declaration = Declaration({"PER": ("name",)}, open=("time", "product"))
    with_open = labelled("赵伟昨天", (0, 2, "PER")) | {"open": [{"start": 2, "end": 4, "types": ["address"]}]}
    (record,) = declaration.apply(records(with_open)).records
    assert record.open == (OpenSpan(2, 4, ("address",)), OpenSpan(0, 4, ("time", "product")))


def test_trimmed_characters_are_taken_off_both_ends_of_spans(records):
    declaration = Declaration({"WORK": ("product",)}, trim="《》")
    (record,) = declaration.apply(records(labelled("《甲》和《》", (0, 3, "WORK"), (4, 6, "WORK")))).records
    assert record.spans == (GoldSpan(1, 2, "product"),)


def test_an_undeclared_type_is_a_problem_that_names_line_and_type(records):
    declaration = Declaration({"PER": ("name",), "ORG": ("company",)})
    file = records(labelled("赵伟", (0, 2, "PER")), labelled("北京", (0, 2, "LOC")), labelled("赵", (0, 1, "PER")))
    applied = declaration.apply(file)
    reason = "the declaration does not know the type 'LOC'; it knows PER, ORG"
    assert applied.problems == [Problem(file.path, 2, reason)]
    assert [record.line for record in applied.records] == [1, 3]
    with pytest.raises(DataError, match=r"corpus\.jsonl:2: the declaration does not know the type 'LOC'"):
        read_labelled(file.path, declaration=declaration)


def test_types_that_are_not_told_apart_form_a_group():
    declaration = Declaration(
        {"PER": ("name",), "ORG": ("company", "government"), "GPE": ("government", "address"), "RACE": (), "misc": None}
    )
    assert declaration.groups() == [("address", "company", "government"), ("name",)]


def test_a_declaration_for_a_model_of_fewer_types_says_nothing_of_the_others(declared):
    path = declared("types: {ORG: [company, government], PROD: product, misc: unknown}\nopen: [time, address]\n")
    known = read_for_measuring(path, ("company", "address")).for_model(("company", "address"))
    assert known.types == {"ORG": ("company",), "PROD": (), "misc": None}
    assert known.open == ("address",)
    with pytest.raises(DataError, match=r"labels no type of the model \(name, address\); it names address, company"):
        read_for_measuring(path, ("name", "address"))


def test_a_long_text_is_cut_with_its_open_stretches_and_its_domain(records):
    declaration = Declaration({"PER": ("name",)}, open=("time",))
    file = records(labelled("赵伟走了。李强走了。", (5, 7, "PER")) | {"domain": "news"})
    sentences, _ = read_labelled(file.path, declaration=declaration, max_length=6)
    assert [each.text for each in sentences] == ["赵伟走了。", "李强走了。"]
    assert [each.spans for each in sentences] == [(), (GoldSpan(0, 2, "name"),)]
    assert [each.open for each in sentences] == [(OpenSpan(0, 5, ("time",)),)] * 2
    assert [each.domain for each in sentences] == ["news"] * 2
