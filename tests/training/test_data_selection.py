"""Choosing raw sentences to label, and labelling raw text with a model for people to look over."""

import itertools
import json
import math

import numpy as np
import pytest
from distillex_training.data.convert import read_any
from distillex_training.data.formats.options import ReadingOptions
from distillex_training.data.prelabel import Prelabelled, prelabel
from distillex_training.data.records import Record
from distillex_training.data.selection import select
from distillex_training.data_cli import app
from distillex_training.opened_model import open_model
from typer.testing import CliRunner

pytestmark = pytest.mark.training


def candidate(text, log_probability):
    return Prelabelled(Record("raw.txt", 1, text, ()), log_probability)


def texts(selected):
    return [each.record.text for each in selected.chosen]


def test_the_least_certain_come_first():
    pool = [candidate("春天来了", -0.1), candidate("东方电子", -0.9), candidate("南海船务", -0.5)]
    assert texts(select(pool, 2)) == ["东方电子", "南海船务"]
    assert texts(select(pool, 9)) == ["东方电子", "南海船务", "春天来了"]


def test_ties_depend_on_the_texts_alone():
    pool = [candidate(text, -0.5 + place * 1e-9) for place, text in enumerate(("甲一", "乙二", "丙三", "丁四"))]
    orders = {tuple(texts(select(order, 4))) for order in itertools.permutations(pool)}
    assert len(orders) == 1


def test_of_sentences_that_are_alike_the_least_certain_is_chosen():
    one, other, spelled = (
        "赵伟昨天加入了东方电子有限公司。",
        "赵芳昨天加入了东方电子有限公司。",
        "趙伟昨天加入了东方电子 有限公司。",
    )
    pool = [candidate(one, -0.2), candidate(other, -0.4), candidate(spelled, -0.1), candidate("北斗软件", -0.01)]
    selected = select(pool, 4)
    assert texts(selected) == [other, "北斗软件"]
    assert (selected.known, selected.alike) == (0, 2)
    everything = select(pool, 4, resemblance=1.1)
    assert texts(everything) == [other, one, "北斗软件"]
    assert (everything.known, everything.alike) == (1, 0)


def test_what_is_labelled_already_and_what_resembles_it_is_not_chosen():
    pool = [candidate("赵伟昨天加入了东方电子有限公司。", -0.9), candidate("北斗软件", -0.1), candidate("南海", -0.2)]
    selected = select(pool, 3, labelled=["钱伟昨天加入了东方电子有限公司。", "南海"])
    assert texts(selected) == ["北斗软件"]
    assert (selected.known, selected.alike) == (1, 1)


@pytest.fixture(scope="module")
def base(toy):
    from distillex_matcher import Lexicon

    return Lexicon.load(toy / "base.lex")


def test_the_probability_is_that_of_the_best_of_all_label_sequences(toy_student, base, tmp_path):
    model = open_model(toy_student)
    text = "赵伟"
    (found,) = prelabel([text], model, base, tmp_path)
    features = model.layout.featurizer(base).featurize([text])
    emissions = model.emissions_of(features)[0, 1 : 1 + len(text)].astype(np.float64)
    crf = model.crf
    scores = [
        crf.start[a] + emissions[0, a] + crf.transitions[a][b] + emissions[1, b] + crf.end[b]
        for a, b in itertools.product(range(emissions.shape[1]), repeat=2)
    ]
    expected = max(scores) - np.logaddexp.reduce(scores)
    assert found.log_probability == pytest.approx(expected / len(text), abs=1e-4)
    assert found.confidence == pytest.approx(math.exp(expected / len(text)), abs=1e-4)


def test_confidence_does_not_depend_on_what_a_text_is_labelled_with(toy_student, base, tmp_path):
    model = open_model(toy_student)
    sentences = ["赵伟加入了东方电子。", "今天", "东方电子的李娜昨天说，东方电子的李娜昨天说，"]
    together = prelabel(sentences, model, base, tmp_path)
    assert [each.record.text for each in together] == sentences
    for text, each in zip(sentences, together, strict=True):
        (alone,) = prelabel([text], model, base, tmp_path)
        assert alone.log_probability == pytest.approx(each.log_probability, abs=1e-5)
        assert alone.record.spans == each.record.spans
    assert [each.confidence for each in together] == [pytest.approx(1, abs=1), *[pytest.approx(0.5, abs=0.5)] * 2]


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_select_writes_the_least_certain_prelabelled(toy, toy_student, run, tmp_path):
    raw = tmp_path / "raw.txt"
    raw.write_text((toy / "raw.txt").read_text(encoding="utf-8") + "完全不同的一句话\n", encoding="utf-8")
    known = tmp_path / "known.jsonl"
    first = raw.read_text(encoding="utf-8").splitlines()[0]
    known.write_text(json.dumps({"text": first, "entities": []}), encoding="utf-8")
    out = tmp_path / "out.json"
    options = ("--model", toy_student, "--base", toy / "base.lex", "-n", 5)
    done = run("select", raw, "-o", out, *options, "--labelled", known, "--resemblance", 2)
    assert done.exit_code == 0, done.output
    tasks = json.loads(out.read_text(encoding="utf-8"))
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert len(tasks) == 5
    assert scores == sorted(scores)
    assert "完全不同的一句话" in [task["data"]["text"] for task in tasks]
    assert first not in [task["data"]["text"] for task in tasks]
    assert f"confidence {scores[0]:.4f} to {scores[-1]:.4f}; passed over: " in done.stdout
    assert '<Label value="' in done.stdout
    before = out.read_bytes()
    assert run("select", raw, "-o", out, *options, "--labelled", known, "--resemblance", 2).exit_code == 0
    assert out.read_bytes() == before


def test_select_says_when_too_few_sentences_differ(toy, toy_student, run, tmp_path):
    raw = tmp_path / "raw.txt"
    raw.write_text("赵伟昨天加入了东方电子有限公司。\n赵芳昨天加入了东方电子有限公司。\n", encoding="utf-8")
    options = ("--model", toy_student, "--base", toy / "base.lex", "-n", 5, "-o", tmp_path / "out.json")
    done = run("select", raw, *options)
    assert done.exit_code == 0
    assert "1 of 2 sentences" in done.stdout
    assert "5 were asked for: the others are known or alike" in done.stderr
    known = tmp_path / "known.txt"
    known.write_text("".join(f"{character} O\n" for character in "赵伟昨天加入了东方电子有限公司。"), encoding="utf-8")
    done = run("select", raw, *options, "--labelled", known)
    assert done.exit_code == 2
    assert "every sentence is labelled already, or resembles one that is" in done.stderr


def test_raw_text_goes_out_labelled_and_comes_back(toy, toy_student, run, tmp_path):
    raw = tmp_path / "raw.txt"
    raw.write_text("赵伟加入了东方电子。\n今天\n" + "长" * 600 + "\n", encoding="utf-8")
    out = tmp_path / "tasks.json"
    options = ("--model", toy_student, "--base", toy / "base.lex")
    done = run("export", raw, "-o", out, "--format", "label-studio", *options)
    assert done.exit_code == 0, done.output
    assert "1 sentences of more than 510 characters were left out" in done.stderr
    assert "2 sentences, 2 entities" in done.stdout
    back = read_any(out, options=ReadingOptions(predictions=True))
    assert [(each.text, [(s.start, s.end, s.type) for s in each.spans]) for each in back.records] == [
        ("赵伟加入了东方电子。", [(0, 2, "name"), (5, 9, "company")]),
        ("今天", []),
    ]
    done = run("convert", out, "-o", tmp_path / "back.jsonl", "--predictions")
    assert done.exit_code == 0
    assert "2 tasks have a model's predictions alone; they were taken" in done.stderr


def test_labelled_files_of_several_formats_become_one_of_another(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("赵 B-PER\n伟 E-PER\n\n坏 X\n", encoding="utf-8")
    (folder / "b.jsonl").write_text('{"text": "李娜", "label": [[0, 2, "PER"]]}\n', encoding="utf-8")
    done = run("export", folder, "-o", tmp_path / "out.jsonl", "--format", "gliner")
    assert done.exit_code == 0, done.output
    assert "2 sentences, 2 entities; 1 left out (named above)" in done.stdout
    assert "a.txt:4: 'X' is no tag" in done.stderr
    assert [record.text for record in read_any(tmp_path / "out.jsonl").records] == ["赵伟", "李娜"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "out", "--format", "auto"), "--format auto is for reading; accepted: columns, "),
        (("-o", "out", "--format", "columns", "--scheme", "bio"), "--scheme bio is not written; accepted: bio2, bioes"),
        (("-o", "in.jsonl", "--format", "gliner"), "in.jsonl is one of the files that are read"),
        (("-o", ".", "--format", "gliner"), "is a folder; gliner is written to a file"),
        (("-o", "out", "--format", "gliner", "--model", "nothing"), "does not exist"),
    ],
)
def test_export_refuses_what_it_cannot_do(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    line = '{"text": "赵伟", "entities": [{"start": 0, "end": 2, "type": "PER"}]}\n'
    (tmp_path / "in.jsonl").write_text(line, encoding="utf-8")
    done = run("export", "in.jsonl", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "in.jsonl").read_text(encoding="utf-8") == line
