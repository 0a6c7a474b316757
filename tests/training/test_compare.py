"""Two models on the same sentences: the bootstrap, files of predictions, and what is said and written."""

import json

import numpy as np
import pytest
from distillex_training.bootstrap import paired_bootstrap
from typer.testing import CliRunner


def f1(counts):
    right, found, gold = counts.sum(axis=0)
    return 2 * right / (found + gold) if found + gold else 0.0


def plainly(first, second, resamples, seed):
    """The bootstrap as it is described: sentences drawn one by one."""
    generator = np.random.default_rng(seed)
    measured = f1(second) - f1(first)
    drawn = []
    for _ in range(resamples):
        rows = generator.integers(len(first), size=len(first))
        drawn.append(f1(second[rows]) - f1(first[rows]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    extreme = np.abs(np.array(drawn) - measured) >= abs(measured) - 1e-12
    return measured, low, high, (1 + extreme.sum()) / (1 + resamples)


def counts_of(generator, sentences, accuracy):
    gold = generator.integers(0, 5, sentences)
    right = generator.binomial(gold, accuracy)
    found = right + generator.binomial(gold + 1, 0.2)
    return gold, np.stack([right, found, gold], axis=1)


def test_the_bootstrap_is_that_of_sentences_drawn_one_by_one():
    generator = np.random.default_rng(5)
    gold, first = counts_of(generator, 150, 0.7)
    second = first.copy()
    second[:, 0] = np.minimum(gold, second[:, 0] + generator.binomial(1, 0.08, 150))
    result = paired_bootstrap(first, second, resamples=4000, seed=1)
    measured, low, high, p_value = plainly(first, second, 4000, 2)
    assert result.difference == pytest.approx(measured, abs=1e-12)
    assert result.difference > 0
    assert (result.low, result.high) == (pytest.approx(low, abs=0.004), pytest.approx(high, abs=0.004))
    assert result.p_value == pytest.approx(p_value, abs=0.02)
    assert paired_bootstrap(first, second, resamples=4000, seed=1) == result
    turned = paired_bootstrap(second, first, resamples=4000, seed=1)
    assert turned.difference == -result.difference
    assert turned.p_value == pytest.approx(result.p_value, abs=0.02)


def test_what_is_the_same_differs_by_chance_alone_and_what_is_always_better_does_not():
    same = np.array([[1, 2, 2], [0, 1, 1], [2, 2, 2]] * 20)
    result = paired_bootstrap(same, same)
    assert (result.difference, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)
    worse = same - np.array([1, 0, 0]) * (same[:, :1] > 0)
    result = paired_bootstrap(worse, same)
    assert result.low > 0
    assert result.p_value == 1 / 10_001
    nothing = paired_bootstrap(np.zeros((3, 3), int), np.zeros((3, 3), int), resamples=100)
    assert nothing.difference == 0.0


def test_no_sentences_and_other_sentences_are_refused():
    for first, second in ((np.zeros((0, 3), int),) * 2, (np.zeros((2, 3), int), np.zeros((3, 3), int))):
        with pytest.raises(ValueError, match="counts of shapes"):
            paired_bootstrap(first, second)


@pytest.fixture
def compare(toy):
    from distillex.command.main import application

    def run(first, second, data, *more):
        arguments = ["compare", first, second, data, "--base", toy / "base.lex", "--resamples", "200", *more]
        done = CliRunner().invoke(application, [str(argument) for argument in arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, " ".join(done.output.split())

    return run


def line(text, *entities, field="entities", **more):
    spans = [{"start": a, "end": b, "type": kind} for a, b, kind in entities]
    return json.dumps({"text": text, field: spans, **more}, ensure_ascii=False) + "\n"


TEXTS = ("赵伟来了", "东方电子在北京", "今天天气<好>")
GOLD = line(TEXTS[0], (0, 2, "name")) + line(TEXTS[1], (0, 4, "company"), (5, 7, "place")) + line(TEXTS[2])
ONE = line(TEXTS[0], (0, 2, "name")) + line(TEXTS[1], (0, 4, "company")) + line(TEXTS[2])
OTHER = (
    line(TEXTS[0], (0, 3, "name")) + line(TEXTS[1], (0, 4, "company"), (5, 7, "place")) + line(TEXTS[2], (0, 2, "time"))
)


@pytest.fixture
def files(tmp_path):
    for name, content in (("gold", GOLD), ("one", ONE), ("other", OTHER)):
        (tmp_path / f"{name}.jsonl").write_text(content, encoding="utf-8")
    return tmp_path


def test_two_files_of_predictions_are_compared(compare, files):
    options = ("--json", files / "out.json", "--html", files / "out.html")
    code, said = compare(files / "one.jsonl", files / "other.jsonl", files / "gold.jsonl", *options)
    assert code == 0, said
    assert "| A: " in said
    assert "one.jsonl | 0.8000 | 1.0000 | 0.6667 |" in said
    assert "other.jsonl | 0.5714 | 0.5000 | 0.6667 |" in said
    assert "| place | 0.0000 | 1.0000 | +1.0000 | 1 |" in said
    assert "F1 of B less that of A: -0.2286, 95 % interval " in said
    assert "paired bootstrap over 3 sentences, 200 resamples, seed 1" in said
    assert "they differ in 3 sentences: A alone is right in 2, B alone in 1, neither in 0" in said
    written = json.loads((files / "out.json").read_text(encoding="utf-8"))
    assert [each["right"] for each in written["differences"]] == ["a", "b", "a"]
    assert written["differences"][0] == {
        "sentence": 1,
        "text": TEXTS[0],
        "right": "a",
        "gold": [{"start": 0, "end": 2, "type": "name"}],
        "a": [{"start": 0, "end": 2, "type": "name"}],
        "b": [{"start": 0, "end": 3, "type": "name"}],
    }
    page = (files / "out.html").read_text(encoding="utf-8")
    assert page.count("<article") == 3
    assert page.count('class="wrong"') == 2
    assert "天气&lt;好&gt;" in page
    again = compare(files / "one.jsonl", files / "other.jsonl", files / "gold.jsonl")
    assert again == (code, said)
    assert "they differ in 0 sentences" in compare(files / "one.jsonl", files / "one.jsonl", files / "gold.jsonl")[1]


def test_predictions_beside_the_gold_labels_are_never_taken_for_each_other(compare, files):
    rows = [json.loads(each) for each in ONE.splitlines()]
    for row, expected in zip(rows, GOLD.splitlines(), strict=True):
        row["predicted"] = row["entities"]
        row["entities"] = json.loads(expected)["entities"]
    both = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (files / "both.jsonl").write_text(both, encoding="utf-8")
    code, said = compare(files / "both.jsonl", files / "both.jsonl", files / "gold.jsonl")
    assert (code, "both.jsonl: 'entities' and 'predicted' may hold what was found: --entities-field" in said) == (
        2,
        True,
    )
    options = ("--entities-field", "predicted")
    code, said = compare(files / "both.jsonl", files / "both.jsonl", files / "gold.jsonl", *options)
    assert (code, "both.jsonl | 0.8000 |" in said) == (0, True), said
    none = "".join(json.dumps(json.loads(each) | {"predicted": []}) + "\n" for each in GOLD.splitlines())
    (files / "none.jsonl").write_text(none, encoding="utf-8")
    assert "may hold what was found" in compare(files / "none.jsonl", files / "one.jsonl", files / "gold.jsonl")[1]
    code, said = compare(files / "one.jsonl", files / "both.jsonl", files / "gold.jsonl", *options)
    assert (code, "one.jsonl:1: no object with 'predicted'" in said) == (2, True), said


def test_a_declaration_says_what_the_types_of_the_data_mean(compare, files):
    data = line(TEXTS[0], (0, 2, "PER")) + line(TEXTS[1], (0, 4, "ORG"), (5, 7, "LOC")) + line(TEXTS[2])
    (files / "foreign.jsonl").write_text(data, encoding="utf-8")
    (files / "foreign.yaml").write_text(
        "types: {PER: name, ORG: [company, government], LOC: none}\nopen: [time]\n", encoding="utf-8"
    )
    government = line(TEXTS[0], (0, 2, "name")) + line(TEXTS[1], (0, 4, "government")) + line(TEXTS[2], (0, 2, "time"))
    (files / "government.jsonl").write_text(government, encoding="utf-8")
    options = ("--declaration", files / "foreign.yaml")
    code, said = compare(files / "one.jsonl", files / "government.jsonl", files / "foreign.jsonl", *options)
    assert code == 0, said
    assert said.count(".jsonl | 1.0000 | 1.0000 | 1.0000 |") == 2
    assert "they differ in 0 sentences" in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (line(TEXTS[0]) + line("别的"), "wrong.jsonl:2: the text is '别的'; sentence 2 of "),
        (line(TEXTS[0]), "wrong.jsonl: ends after 1 of the 3 sentences of "),
        (ONE + line("别的"), "wrong.jsonl:4: the text is '别的'; sentence 4 of "),
        ("", "ends after 0 of the 3 sentences"),
        ("no JSON\n", "wrong.jsonl:1: no object with 'entities'"),
        (line(TEXTS[0], (0, 9, "name")), "wrong.jsonl:1: the span [0, 9) does not lie in a text of 4"),
    ],
)
def test_predictions_of_other_texts_are_refused(compare, files, content, reason):
    (files / "wrong.jsonl").write_text(content, encoding="utf-8")
    code, said = compare(files / "one.jsonl", files / "wrong.jsonl", files / "gold.jsonl")
    assert (code, reason in said) == (2, True), said


def test_what_cannot_be_written_or_is_no_model_is_said_before_the_work(compare, files):
    code, said = compare("planet", files / "one.jsonl", files / "gold.jsonl")
    assert (code, "unknown student 'planet'; known students: " in said) == (2, True), said
    code, said = compare(
        files / "one.jsonl", files / "one.jsonl", files / "gold.jsonl", "--html", files / "no" / "x.html"
    )
    assert (code, "--html: " in said) == (2, True), said
    for option, name in (("--html", "gold"), ("--json", "gold"), ("--json", "one")):
        code, said = compare(
            files / "one.jsonl", files / "other.jsonl", files / "gold.jsonl", option, files / f"{name}.jsonl"
        )
        assert (code, f"{name}.jsonl is an input" in said) == (2, True), said
    assert (files / "gold.jsonl").read_text(encoding="utf-8") == GOLD


def test_a_model_has_the_scores_that_evaluation_gives_it_and_long_texts_stay_together(
    compare, toy, toy_student, toy_teacher, tmp_path
):
    from distillex.command.main import application

    records = [json.loads(each) for each in (toy / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    long_text, spans = "", []
    while len(long_text) < 600:
        for record in records:
            spans += [(e["start"] + len(long_text), e["end"] + len(long_text), e["type"]) for e in record["entities"]]
            long_text += record["text"]
    data = tmp_path / "data.jsonl"
    data.write_text(line(long_text, *spans) + (toy / "dev.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    code, said = compare(toy_student, toy_teacher, data, "--json", tmp_path / "compared.json")
    assert code == 0, said
    compared = json.loads((tmp_path / "compared.json").read_text(encoding="utf-8"))
    options = ("--base", toy / "base.lex", "--json", tmp_path / "evaluated.json")
    done = CliRunner().invoke(application, [str(each) for each in ("evaluate", toy_student, data, *options)])
    assert done.exit_code == 0, done.output
    base = json.loads((tmp_path / "evaluated.json").read_text(encoding="utf-8"))[1]
    assert (base["lexicon"], base["f1"]) == ("base", compared["a"]["f1"])
    # A file that holds just what is gold is right about all, also where a model makes several sentences of a text.
    code, said = compare(toy_student, data, data)
    assert code == 0, said
    assert "data.jsonl | 1.0000 | 1.0000 | 1.0000 |" in said
