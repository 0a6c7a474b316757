"""The table of what each step gave the teacher, and the parts of files that experiments train on."""

import json
import logging
import runpy
import sys
from pathlib import Path

import pytest
from conftest import toy_sentences, write_jsonl
from distillex_training.config import Corpus, TrainingCorpus, read_config
from distillex_training.errors import ConfigError, DataError

ABLATIONS = Path(__file__).resolve().parents[2] / "training" / "ablations"


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ABLATIONS), str(ABLATIONS.parent / "evidence"), *sys.path])


def foreign_sentences(count, seed):
    """Sentences of a corpus that labels companies alone, by another name."""
    for record in toy_sentences(count, seed):
        kept = [e | {"type": "ORG"} for e in record["entities"] if e["type"] == "company"]
        yield record | {"entities": kept}


@pytest.fixture
def plan(teacher_configuration, tmp_path):
    """Write a plan of toy size; gives its path."""
    write_jsonl(tmp_path / "foreign.jsonl", foreign_sentences(60, 5))
    write_jsonl(tmp_path / "foreign-dev.jsonl", foreign_sentences(30, 6))
    write_jsonl(tmp_path / "whole.jsonl", toy_sentences(40, 7))
    (tmp_path / "foreign.yaml").write_text("types: {ORG: company}\nopen: [name]\n", encoding="utf-8")

    def write(rows, **changes):
        content = {
            "config": str(teacher_configuration),
            "sentences": 80,
            "further": [{"path": "foreign.jsonl", "declaration": "foreign.yaml", "per_epoch": 32}],
            "measured": [
                {"name": "own", "path": str(teacher_configuration.parent / "dev.jsonl")},
                {"name": "foreign", "path": "foreign-dev.jsonl", "declaration": "foreign.yaml", "sentences": 20},
            ],
            "settings": {"data.types": ["company", "name"], "loop.epochs": 4, "encoder_learning_rate": 3e-3},
            "rows": rows,
        }
        path = tmp_path / "plan.yaml"
        path.write_text(json.dumps(content | changes), encoding="utf-8")
        return path

    return write


def run(monkeypatch, tmp_path, plan, *more):
    arguments = ("--plan", plan, "--runs", tmp_path / "runs", "--output", tmp_path / "steps.json", *more)
    monkeypatch.setattr(sys, "argv", ["teacher_steps.py", *map(str, arguments)])
    runpy.run_path(str(ABLATIONS / "teacher_steps.py"), run_name="__main__")
    return json.loads((tmp_path / "steps.json").read_text(encoding="utf-8"))


ROWS = [
    {"name": "base"},
    {"name": "Mean of one", "mean_of": ["base"]},
    {"name": "span head", "head": "spans", "train": ["whole.jsonl"], "settings": {"span_width": 8}},
]


def test_each_row_is_measured_on_every_set_and_none_is_repeated(plan, tmp_path, monkeypatch, capsys, caplog):
    caplog.set_level(logging.INFO, "distillex.training")
    path = plan(ROWS)
    first = run(monkeypatch, tmp_path, path)
    printed = capsys.readouterr().out
    assert "nothing was trained" not in caplog.text
    weights = {each: each.stat().st_mtime_ns for each in (tmp_path / "runs").glob("*/best/*.safetensors")}
    assert len(weights) == 3
    assert run(monkeypatch, tmp_path, path) == first
    assert capsys.readouterr().out == printed
    assert caplog.text.count("nothing was trained") == 2
    assert {each: each.stat().st_mtime_ns for each in weights} == weights

    assert [(row["step"], row["head"]) for row in first] == [
        ("base", "crf"),
        ("Mean of one", "crf"),
        ("span head", "spans"),
    ]
    for row in first:
        assert row["f1"].keys() == {"own", "foreign"}
        assert row["mean"] == pytest.approx(sum(row["f1"].values()) / 2)
    base, mean_of_one, _ = first
    assert base["f1"]["own"] > 0.5
    assert mean_of_one["f1"] == pytest.approx(base["f1"])  # of weights and of runs the measure is one
    assert (base["minutes"] > 0, mean_of_one["minutes"]) == (True, None)
    lines = printed.splitlines()
    assert lines[0] == "| step | own | foreign | mean | minutes |"
    assert lines[2] == f"| base | {base['f1']['own']:.4f} | {base['f1']['foreign']:.4f} | {base['mean']:.4f} | 0 |"


def test_all_rows_see_the_same_part_of_each_corpus_in_its_share_of_an_epoch(plan, tmp_path):
    from teacher_steps import Plan, Steps

    steps = Steps(
        read_config(plan([*ROWS[:1], {"name": "other", "settings": {"loop.seed": 2}}]), Plan), tmp_path / "runs"
    )
    base, other = map(steps.run_of, steps.plan.rows)
    assert (base.data.train, base.loop.seed, other.loop.seed) == (other.data.train, 1, 2)
    # 96 of the configuration's and 32 of the other corpus are an epoch, of which 80 are seen.
    assert [len(each.path.read_text(encoding="utf-8").splitlines()) for each in base.data.train] == [60, 20]
    assert [each.declaration for each in base.data.train] == [None, tmp_path / "foreign.yaml"]
    assert set(base.data.train[1].path.read_text(encoding="utf-8").splitlines()) <= set(
        (tmp_path / "foreign.jsonl").read_text(encoding="utf-8").splitlines()
    )
    assert len((tmp_path / "runs/measured/foreign.jsonl").read_text(encoding="utf-8").splitlines()) == 20


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"name": "a"}, {"name": "A"}], "rows: names are needed that tell them apart, not 'a'"),
        ([{"name": "mean", "mean_of": ["a"]}, {"name": "a"}], "rows: mean: 'a' is no earlier run; there are: "),
        ([{"name": "a", "head": "softmax"}], 'head is "softmax"; one of crf, spans is accepted'),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(plan, rows, message):
    from teacher_steps import Plan

    with pytest.raises(ConfigError, match=message):
        read_config(plan(rows), Plan)


def test_weights_that_did_not_begin_alike_have_no_mean(plan, tmp_path):
    from teacher_steps import Plan, Steps

    rows = [{"name": "a"}, {"name": "b", "settings": {"loop.seed": 2}}, {"name": "mean", "mean_of": ["a", "b"]}]
    steps = Steps(read_config(plan(rows), Plan), tmp_path / "runs")
    with pytest.raises(ConfigError, match="mean: 'a' is not trained yet"):
        steps.scores(steps.plan.rows[2])
    for name in "ab":
        (tmp_path / "runs" / name / "best").mkdir(parents=True)
    with pytest.raises(ConfigError, match="mean: a, b did not begin with the same weights"):
        steps.scores(steps.plan.rows[2])


def test_what_cannot_be_trained_is_said_in_a_sentence(plan, tmp_path, monkeypatch):
    partial = [{"path": "foreign.jsonl", "declaration": "foreign.yaml"}]
    path = plan([{"name": "spans", "head": "spans", "train": partial}])
    with pytest.raises(
        SystemExit, match=r"^teacher_steps.py: .*\.jsonl:1 \(by .*foreign.yaml\): \[0, .*open for name; a"
    ):
        run(monkeypatch, tmp_path, path)


def test_the_plan_of_the_table_is_one(tmp_path):
    from teacher_steps import PLAN, Plan

    plan = read_config(PLAN, Plan)
    assert [each.name for each in plan.measured] == ["CLUENER", "MSRA", "resume", "everyday"]
    assert {row.head for row in plan.rows} == {"crf", "spans"}


def test_records_are_drawn_whole_whatever_characters_they_hold(tmp_path):
    from labelled_parts import draw

    records = [{"text": f"赵伟\u2028{number}", "entities": []} for number in range(9)]
    source = write_jsonl(tmp_path / "all.jsonl", records)
    source.write_text("\ufeff" + source.read_text(encoding="utf-8").replace("\n", "\n\n", 1), encoding="utf-8")
    drawn = [
        json.loads(line) for line in draw(source, 4, 1, tmp_path / "part.jsonl").read_text("utf-8").split("\n")[:-1]
    ]
    assert len({record["text"] for record in drawn}) == 4
    assert all(record in records for record in drawn)
    everything = draw(source, 0, 1, tmp_path / "everything.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line) for line in everything] == records
    with pytest.raises(DataError, match=r"all.jsonl: 9 sentences; 10 were asked for"):
        draw(source, 10, 1, tmp_path / "more.jsonl")


def test_corpora_keep_what_they_declare_as_a_setting(teacher_configuration, tmp_path):
    from distillex_training.config import TeacherRun
    from labelled_parts import as_setting

    for name in ("a.jsonl", "a.yaml"):
        (tmp_path / name).touch()
    train = TrainingCorpus(tmp_path / "a.jsonl", tmp_path / "a.yaml", weight=0.5, per_epoch=3)
    dev = Corpus(tmp_path / "a.jsonl")
    data = read_config(
        teacher_configuration, TeacherRun, {"data.train": as_setting([train]), "data.dev": as_setting([dev])}
    ).data
    assert (data.train, data.dev) == ((train,), (dev,))
