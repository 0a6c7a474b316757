"""Closing what a corpus leaves open: by rules for times, by a teacher where it is certain."""

import json
from pathlib import Path

import pytest
from distillex_training.data.closing import Certainty, close_records, close_times
from distillex_training.data.labelled import GoldSpan, OpenSpan
from distillex_training.data.records import Record
from distillex_training.data_cli import app
from distillex_training.ensemble import Ensemble
from typer.testing import CliRunner

pytestmark = pytest.mark.training

HERE = Path("x.jsonl")


def record(text, *spans, stretches=()):
    return Record(HERE, 1, text, tuple(GoldSpan(*span) for span in spans), tuple(stretches))


def everywhere(text, *types):
    return OpenSpan(0, len(text), types)


@pytest.fixture(scope="module")
def ensemble(toy, toy_student):
    from distillex_matcher import Lexicon

    return Ensemble([toy_student], Lexicon.load(toy / "base.lex"))


def test_times_are_labelled_and_closed_where_they_are_open():
    text = "昨天赵伟在2024年6月1日离开"
    (closed, other), count = close_times(
        [record(text, (2, 4, "name"), stretches=[everywhere(text, "company", "time")]), record(text)]
    )
    assert count == 2
    assert [(text[s.start : s.end], s.type) for s in closed.spans] == [
        ("昨天", "time"),
        ("赵伟", "name"),
        ("2024年6月1日", "time"),
    ]
    assert closed.open == (everywhere(text, "company"),)
    assert other == record(text)  # here time is a type that is labelled


def test_a_time_that_a_labelled_entity_covers_is_none():
    text = "看《昨天》"
    (closed,), count = close_times([record(text, (2, 4, "book"), stretches=[everywhere(text, "time")])])
    assert (count, closed.open) == (0, ())
    assert [span.type for span in closed.spans] == ["book"]


def test_a_teacher_labels_what_it_is_certain_of_and_leaves_the_rest_open(ensemble):
    text = "东方电子的赵伟昨天说，"
    partly = record(text, (5, 7, "name"), stretches=[everywhere(text, "company")])
    (closed,), done = close_records([partly], ensemble, Certainty(entity=0.5, nothing=0.5))
    assert closed.spans == (GoldSpan(0, 4, "company"), GoldSpan(5, 7, "name"))
    assert closed.open == ()
    assert done.labelled == {"company": 1}
    (doubted,), done = close_records([partly], ensemble, Certainty(entity=1.0, nothing=0.0, open_weight=0.25))
    assert doubted.spans == partly.spans
    assert doubted.weight == 0.25
    assert done.partial == 1
    # Every character that is labelled already is closed; all others are in doubt.
    assert [(each.start, each.end, each.types) for each in doubted.open] == [
        (0, 5, ("company",)),
        (7, 11, ("company",)),
    ]


def test_one_of_several_types_is_decided_and_gold_is_never_contradicted(ensemble):
    text = "东方电子的赵伟昨天说，"
    several = Record(HERE, 1, text, (GoldSpan(0, 4, "name", ("company",)), GoldSpan(7, 9, "name")))
    (closed,), done = close_records([several], ensemble, Certainty(entity=0.5))
    assert closed.spans == (GoldSpan(0, 4, "company"), GoldSpan(7, 9, "name"))
    assert (done.decided, done.undecided) == (1, 0)
    (undecided,), done = close_records([several], ensemble, Certainty(entity=1.0))
    assert undecided.spans == several.spans
    assert (done.decided, done.undecided) == (0, 1)


def test_complete_records_pass_as_they_are(ensemble):
    complete = [record("李四来了"), record("赵伟来了", (0, 2, "name"))]
    closed, done = close_records(complete, ensemble, Certainty())
    assert closed == complete
    assert done.partial == 0


def test_the_command_writes_a_file_that_training_reads(toy, toy_student, tmp_path):
    (tmp_path / "corpus.jsonl").write_text(
        json.dumps({"text": "东方电子的赵伟昨天说，", "entities": [{"start": 5, "end": 7, "type": "PER"}]}) + "\n",
        encoding="utf-8",
    )
    (tmp_path / "declaration.yaml").write_text("types: {PER: name}\nopen: [company]\n", encoding="utf-8")
    arguments = ["close", str(tmp_path / "corpus.jsonl"), "-o", str(tmp_path / "closed.jsonl")]
    arguments += ["--declaration", str(tmp_path / "declaration.yaml"), "--base", str(toy / "base.lex")]
    arguments += ["--teacher", str(toy_student), "--entity", "0.5", "--nothing", "0.5"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "labelled: company 1" in result.output
    assert json.loads((tmp_path / "closed.jsonl").read_text(encoding="utf-8"))["entities"] == [
        {"start": 0, "end": 4, "type": "company"},
        {"start": 5, "end": 7, "type": "name"},
    ]
    (tmp_path / "declaration.yaml").write_text("types: {LOC: name}\n", encoding="utf-8")
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "corpus.jsonl:1: the declaration does not know the type 'PER'; it knows LOC" in refused.output
