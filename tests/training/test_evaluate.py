"""``distillex evaluate``: scores equal seqeval's; lexicon conditions; refused input."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
from distillex_matcher import Lexicon
from distillex_training.data.labelled import GoldSpan, OpenSpan, Sentence
from distillex_training.evaluate import Scores, recall_by_surface, score, trim
from distillex_training.lexicon_evaluation import plausible_entries, random_entries, right_entries
from distillex_training.measures import DomainMeasures, measure
from distillex_training.scored_span import ScoredSpan
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

TYPES = ("company", "name")


@st.composite
def labelled(draw):
    length = draw(st.integers(1, 20))
    cuts = sorted(draw(st.sets(st.integers(0, length), max_size=8)))
    pairs = itertools.pairwise(cuts)
    return length, [(a, b, draw(st.sampled_from(TYPES))) for a, b in pairs if draw(st.booleans())]


def to_bioes(length, spans):
    from distillex_matcher import LabelScheme

    scheme = LabelScheme(TYPES)
    return [scheme.labels[label] for label in scheme.encode(spans, length)]


@given(st.lists(st.tuples(labelled(), labelled()), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_scores_are_those_of_seqeval(pairs):
    seqeval = pytest.importorskip("seqeval.metrics", reason="needs seqeval")
    from seqeval.scheme import IOBES

    gold, predicted, gold_tags, predicted_tags = [], [], [], []
    for (length, spans), (other_length, other_spans) in pairs:
        length = max(length, other_length)
        gold.append(spans)
        predicted.append(other_spans)
        gold_tags.append(to_bioes(length, spans))
        predicted_tags.append(to_bioes(length, other_spans))
    report = score(gold, predicted)
    options = {"mode": "strict", "scheme": IOBES, "zero_division": 0}
    assert report.micro.precision == pytest.approx(seqeval.precision_score(gold_tags, predicted_tags, **options))
    assert report.micro.recall == pytest.approx(seqeval.recall_score(gold_tags, predicted_tags, **options))
    assert report.micro.f1 == pytest.approx(seqeval.f1_score(gold_tags, predicted_tags, **options))
    theirs = seqeval.classification_report(gold_tags, predicted_tags, output_dict=True, **options)
    for kind, scores in report.per_type.items():
        assert scores.f1 == pytest.approx(theirs[kind]["f1-score"])
        assert scores.gold == theirs[kind]["support"]


def test_a_span_counts_only_with_its_exact_bounds_and_type():
    report = score([[(0, 2, "name"), (3, 5, "name")]], [[(0, 2, "company"), (3, 4, "name")]])
    assert (report.micro.correct, report.micro.predicted, report.micro.gold) == (0, 2, 2)
    assert report.micro.f1 == 0.0


def test_sentences_are_paired():
    with pytest.raises(ValueError, match="2 gold sentences, but 1 predicted"):
        score([[], []], [[]])


SENTENCES = [Sentence("北斗软件的赵伟", (GoldSpan(0, 4, "company"), GoldSpan(5, 7, "name")))]


def test_recall_is_split_by_surfaces_known_from_training():
    seen, unseen = recall_by_surface(SENTENCES, [[(0, 4, "company")]], {"赵伟"})
    assert (seen.correct, seen.gold) == (0, 1)
    assert (unseen.correct, unseen.gold) == (1, 1)


def test_lexicon_conditions_hold_right_entries_for_unseen_entities_and_wrong_ones_apart_from_them():
    right = right_entries(SENTENCES, {"赵伟"})
    assert right == {"北斗软件": "company"}
    wrong = random_entries(SENTENCES, TYPES, 10, right, seed=1)
    assert len(wrong) == 10
    assert not set(wrong) & set(right)
    assert all(word in SENTENCES[0].text and kind in TYPES for word, kind in wrong.items())


def test_plausible_entries_are_words_of_the_base_lexicon_and_near_misses():
    base = Lexicon.from_entries([("北斗", "n", 0.5), ("软件", "n", 0.5), ("昨天", "t", 0.5)])
    wrong = plausible_entries(SENTENCES, base, TYPES, 100, {"赵伟"}, seed=1)
    bounds = {"北斗软", "斗软件", "北斗软件的", "的赵伟", "赵", "伟"}
    assert set(wrong) == {"北斗", "软件", "北斗软件"} | bounds
    assert wrong["北斗软件"] == "name"
    assert wrong["北斗软"] == "company"
    assert wrong == plausible_entries(SENTENCES, base, TYPES, 100, {"赵伟"}, seed=1)
    assert len(plausible_entries(SENTENCES, base, TYPES, 2, {}, seed=1)) == 2
    assert plausible_entries([Sentence("你好", ())], base, TYPES, 2, {}, seed=1) == {}


def test_wrong_entries_end_where_the_text_holds_no_more():
    assert set(random_entries([Sentence("赵伟", ())], TYPES, 5, {}, seed=1)) == {"赵伟"}
    assert random_entries([Sentence("赵", ())], TYPES, 5, {}, seed=1) == {}


class Drawn(list):
    """Sentences that count how often one of them is drawn."""

    times = 0

    def __getitem__(self, index):
        self.times += 1
        return super().__getitem__(index)


def test_wrong_entries_of_bare_names_end_after_so_many_draws():
    names = ["".join(pair) for pair in itertools.product("赵钱孙李周吴郑王冯陈", "一二三四五六七八九十")]
    bare = [Sentence(name, (GoldSpan(0, 2, "name"),)) for name in names]
    # Now and then a draw finds a word: that must not begin the count anew.
    rare = [Sentence(f"{name}{number:03}", (GoldSpan(0, 2, "name"),)) for number, name in enumerate(names[:5])]
    sentences = Drawn(bare * 100 + rare)
    right = right_entries(sentences, ())
    sentences.times = 0
    wrong = random_entries(sentences, TYPES, len(right), right, seed=1)
    assert 0 < len(wrong) < len(right) == len(names)
    assert sentences.times <= 20 * len(names) + 10_000


def test_a_surface_that_no_lexicon_holds_is_no_entry():
    sentence = Sentence("甲" * 300, (GoldSpan(0, 255, "name"), GoldSpan(0, 256, "name")))
    assert [len(word) for word in right_entries([sentence], ())] == [255]


@pytest.fixture
def evaluate(toy, toy_student):
    from distillex.command.main import application

    def run(data, *more, model=toy_student):
        arguments = ["evaluate", model, data, "--base", toy / "base.lex", *more]
        done = CliRunner().invoke(application, [str(argument) for argument in arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, " ".join(done.output.split())

    return run


def labelled_line(text, *entities):
    spans = [{"start": start, "end": end, "type": kind} for start, end, kind in entities]
    return json.dumps({"text": text, "entities": spans}, ensure_ascii=False) + "\n"


ONE = labelled_line("赵伟", (0, 2, "name"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (ONE, "| base | 0 | 1.0000 | 1.0000 | 1.0000 | – | 1.0000 |"),
        ("\n\n" + ONE + "\n\n", "4 blank lines between the records"),
        (labelled_line("赵", (0, 1, "name")), "| base + as many wrong entries | 0 |"),
        (labelled_line(" \t赵", (0, 2, "name")), "| base + right entries for unseen entities | 0 |"),
        (labelled_line("天气", (0, 2, "name")), "| base | 0 | 0.0000 | 0.0000 | 0.0000 | – | 0.0000 |"),
        (labelled_line("赵伟" * 900, (0, 2, "name")), "1800 characters, over the limit of 510: split into 4 sentences"),
        (labelled_line("甲" * 300, (0, 300, "name")), "| base + right entries for unseen entities | 0 |"),
        (ONE * 3, "3 sentences"),
    ],
    ids=["one", "blank-lines", "a-character", "white-space", "nothing-found", "long", "long-entity", "repeated"],
)
def test_evaluation_ends_with_a_result(evaluate, tmp_path, content, found):
    (tmp_path / "data.jsonl").write_text(content, encoding="utf-8")
    code, output = evaluate(tmp_path / "data.jsonl", "--json", tmp_path / "out.json")
    assert (code, found in output) == (0, True), output
    assert "nan" not in (tmp_path / "out.json").read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no sentence in it"),
        ("\n \n", "no sentence in it"),
        (labelled_line("今天天气"), "no entity is labelled in it"),
        (labelled_line("甲" * 600, (0, 600, "name")), "no entity is labelled in it"),
        (
            labelled_line("赵伟", (0, 2, "planet")),
            "the label 'planet' (1 of 1 sentences) is unknown; the model has company, name",
        ),
        (labelled_line("赵伟", (0, 3, "name")), "does not lie in a text of 2"),
        ("赵 B-name\n伟 I-name\n", "not JSON"),
    ],
    ids=["empty", "blank", "no-entity", "cut-entity", "unknown-type", "bad-span", "columns"],
)
def test_evaluation_ends_with_a_reason(evaluate, tmp_path, content, reason):
    (tmp_path / "data.jsonl").write_text(content, encoding="utf-8")
    code, output = evaluate(tmp_path / "data.jsonl")
    assert (code, reason in output, "data.jsonl" in output) == (2, True, True), output


def test_what_evaluation_needs_beside_the_data_is_named(evaluate, toy, toy_student, tmp_path):
    (tmp_path / "data.jsonl").write_text(ONE, encoding="utf-8")
    shutil.copy(tmp_path / "data.jsonl", tmp_path / "model.onnx")
    shutil.copytree(toy_student, tmp_path / "preprocess" / "1")
    for options, reason in (
        (("--train", tmp_path / "gone.jsonl"), "gone.jsonl"),
        (("--lexicon", tmp_path / "gone.tsv"), "gone.tsv"),
        (("--base", tmp_path / "data.jsonl"), "not a lexicon file"),
        (("--json", tmp_path / "no" / "out.json"), "cannot be written"),
        (("--json", tmp_path), "cannot be written"),
        (("--json", tmp_path / "data.jsonl"), "data.jsonl is an input"),
        (("--html", tmp_path / "data.jsonl"), "data.jsonl is an input"),
    ):
        code, output = evaluate(tmp_path / "data.jsonl", *options)
        assert (code, reason in output) == (2, True), output
    for model in (tmp_path / "data.jsonl", tmp_path / "model.onnx", tmp_path):
        code, output = evaluate(tmp_path / "data.jsonl", model=model)
        assert (code, "missing" in output or "no model" in output) == (2, True), output


def test_an_exported_model_is_given_by_its_folder_or_its_network(evaluate, toy, toy_student, tmp_path):
    from distillex_training.export.folder import export_folder

    export_folder(toy_student, tmp_path / "exported")
    network = tmp_path / "exported" / "model.onnx"
    code, by_network = evaluate(toy / "dev.jsonl", model=network)
    assert code == 0, by_network
    assert evaluate(toy / "dev.jsonl", model=tmp_path / "exported") == (0, by_network)
    # Where the trained model lies too, the folder means that: it needs no network.
    shutil.copytree(toy_student, tmp_path / "exported", dirs_exist_ok=True)
    network.write_text("no network", encoding="utf-8")
    assert evaluate(toy / "dev.jsonl", model=tmp_path / "exported")[0] == 0
    code, output = evaluate(toy / "dev.jsonl", model=network)
    assert (code, "ONNX Runtime cannot run it" in output) == (2, True), output


def test_a_network_under_a_name_of_its_own_can_be_measured(evaluate, toy, toy_student, tmp_path):
    from distillex.command.main import application

    (tmp_path / "networks").mkdir()
    network = tmp_path / "networks" / "mine.onnx"
    done = CliRunner().invoke(application, ["export", str(toy_student), "-o", str(network), "--target", "onnx"])
    assert done.exit_code == 0, done.output
    files = {path.name for path in network.parent.iterdir()}
    assert files == {"mine.onnx", "features.json", "vocabulary.txt", "crf.json"}
    code, output = evaluate(toy / "dev.jsonl", model=network)
    assert (code, "| base | 0 |" in output) == (0, True), output


def test_a_network_for_gpus_is_measured_where_there_is_no_other(evaluate, toy, toy_student, tmp_path):
    from distillex_training.export.folder import export_gpu_folder

    export_gpu_folder(toy_student, tmp_path / "gpu")
    code, output = evaluate(toy / "dev.jsonl", model=tmp_path / "gpu")
    assert (code, "| base | 0 |" in output) == (0, True), output


@pytest.mark.parametrize("kind", ["student", "teacher", "serving/student"])
def test_a_folder_of_an_earlier_version_is_told_what_changed(evaluate, toy, tmp_path, kind):
    network = tmp_path / kind / "1" / "model.onnx"
    network.parent.mkdir(parents=True)
    network.write_text("", encoding="utf-8")
    for model in (tmp_path, network):
        code, output = evaluate(toy / "dev.jsonl", model=model)
        assert (code, "was exported by an earlier version (" in output) == (2, True), output
        assert "one flat folder of model.onnx, features.json, vocabulary.txt, crf.json; export it again" in output


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"kind": "student"}'),
        ("config.json", '{"kind": "student", "surplus": 1}'),
        ("model.safetensors", "no weights"),
        ("features.json", "{}"),
        ("vocabulary.txt", "甲\n"),
    ],
)
def test_a_damaged_model_is_named(evaluate, toy_student, tmp_path, name, content):
    (tmp_path / "data.jsonl").write_text(ONE, encoding="utf-8")
    shutil.copytree(toy_student, tmp_path / "model")
    (tmp_path / "model" / name).write_text(content, encoding="utf-8")
    code, output = evaluate(tmp_path / "data.jsonl", model=tmp_path / "model")
    assert (code, str(tmp_path / "model") in output) == (2, True), output


def test_weights_of_another_model_or_that_are_no_numbers_are_refused(evaluate, toy, toy_student, toy_teacher, tmp_path):
    import torch
    from distillex_training.models import load_model, save_model

    shutil.copytree(toy_student, tmp_path / "mixed")
    shutil.copy(toy_teacher / "model.safetensors", tmp_path / "mixed")
    code, output = evaluate(toy / "dev.jsonl", model=tmp_path / "mixed")
    assert (code, "does not fit" in output) == (2, True), output
    student, crf, layout = load_model(toy_student)
    with torch.no_grad():
        student.head.weight.fill_(float("nan"))
    save_model(tmp_path / "broken", student, crf, layout)
    code, output = evaluate(toy / "dev.jsonl", model=tmp_path / "broken")
    assert (code, f"{tmp_path / 'broken'}: the model's emissions are no finite numbers" in output) == (1, True), output


def test_an_onnx_file_that_is_none_is_refused(tmp_path):
    from distillex_training.export.onnx import open_session

    (tmp_path / "model.onnx").write_text("nothing of the kind", encoding="utf-8")
    for path in (tmp_path / "model.onnx", tmp_path / "gone.onnx"):
        with pytest.raises(ValueError, match=rf"{path.name}: ONNX Runtime cannot run it"):
            open_session(path)


def test_errors_are_told_by_kind_in_tables_in_json_and_on_a_page(evaluate, toy_student, tmp_path):
    lines = labelled_line("赵伟昨天加入东方电子", (0, 2, "name"), (6, 9, "company")) + labelled_line("今天<天气>")
    (tmp_path / "data.jsonl").write_text(lines + labelled_line("钱伟说", (2, 3, "name")), encoding="utf-8")
    code, output = evaluate(tmp_path / "data.jsonl", "--json", tmp_path / "out.json", "--html", tmp_path / "out.html")
    assert code == 0, output
    base = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))[1]
    outcomes = base["outcomes"]
    assert sum(outcomes[kind] for kind in ("right", "boundary", "type", "boundary and type", "missed")) == 3
    assert outcomes["right"] + outcomes["boundary"] >= 2
    for name, row in base["confusion"].items():
        assert name in ("(none)", "(other bounds)") or sum(row.values()) == base["per_type"][name]["gold"]
    assert f"| right | {outcomes['right']} | {outcomes['right']} |" in output
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert page.count("<article") == base["faulty_sentences"] > 0
    assert "东方电" in page
    assert "<天气>" not in page
    code, output = evaluate(tmp_path / "data.jsonl", "--html", tmp_path / "no" / "out.html")
    assert (code, "--html: " in output) == (2, True), output


def test_a_record_of_any_length_and_number_of_spans_is_cut_in_linear_time():
    """Counted are comparisons of spans, of which every span would make one with every other."""
    from distillex_training.data import labelled
    from distillex_training.data.records import Record

    class Counted(GoldSpan):
        compared = 0

        def __eq__(self, other):
            Counted.compared += 1
            return super().__eq__(other)

        __hash__ = GoldSpan.__hash__

    count = 2000
    spans = tuple(Counted(start, start + 2, "name") for start in range(0, 4 * count, 4))
    sentences, report = labelled.cut_to_length(
        Path("long"), [Record(Path("long"), 1, "赵伟来。" * count, spans)], 0, 510
    )
    assert sum(len(each.spans) for each in sentences) == count
    assert "".join(each.text for each in sentences) == "赵伟来。" * count
    assert (report.overlapping_spans, report.cut_spans) == ([], [])
    assert Counted.compared < 20 * count


def found(*spans):
    return [ScoredSpan(start, end, kind, score) for start, end, kind, score in spans]


MEASURED = [
    Sentence("北斗软件的赵伟", (GoldSpan(0, 4, "company", ("government",)), GoldSpan(5, 7, "name")), domain="news"),
    Sentence("赵伟来了", (GoldSpan(0, 2, "name"),), domain="chat"),
    Sentence("今天天气", (), domain="chat"),
    Sentence("你好", ()),
]
FOUND = [
    found((0, 4, "government", 0.95), (5, 7, "name", 0.85)),
    found((0, 3, "name", 0.15)),
    found((0, 2, "company", 0.35)),
    [],
]


def test_measures_count_faults_groups_domains_and_calibration():
    measures = measure(MEASURED, FOUND, [("company", "government"), ("name",)])
    assert (measures.sentences, measures.faulty) == (4, 2)
    assert (measures.without_entities, measures.wrongly_filled) == (2, 1)
    assert measures.per_group == {"company/government": Scores(1, 2, 1), "name": Scores(1, 2, 2)}
    assert measures.per_domain == {
        "chat": DomainMeasures(Scores(0, 2, 1), sentences=2, faulty=2),
        "news": DomainMeasures(Scores(2, 2, 2), sentences=1, faulty=0),
    }
    reliability = measures.reliability
    assert (reliability.precision, reliability.mean_score) == (0.5, pytest.approx(0.575))
    assert reliability.calibration_error == pytest.approx((0.05 + 0.15 + 0.15 + 0.35) / 4)


def test_what_a_corpus_leaves_open_is_no_fault_and_has_no_score_to_calibrate():
    sentence = Sentence("今天天气", (), (OpenSpan(0, 4, ("time",)),))
    measures = measure([sentence], [found((0, 2, "time", 0.9))])
    assert (measures.faulty, measures.wrongly_filled, measures.reliability.scores) == (0, 0, [])


def test_brackets_are_taken_off_what_is_found():
    sentence = Sentence("看《红高粱》和《》", (GoldSpan(2, 5, "movie"),))
    kept = trim([sentence], [found((1, 6, "movie", 0.9), (7, 9, "movie", 0.8))], "《》")
    assert kept == [found((2, 5, "movie", 0.9))]
    assert trim([sentence], [found((1, 6, "movie", 0.9))], "") == [found((1, 6, "movie", 0.9))]


@pytest.fixture
def foreign(toy, tmp_path):
    """Development sentences with types of a corpus that tells less and more apart than the model, and a declaration."""
    lines = []
    for number, line in enumerate((toy / "dev.jsonl").read_text(encoding="utf-8").splitlines()):
        record = json.loads(line)
        for entity in record["entities"]:
            entity["type"] = {"name": "PER", "company": "ORG"}[entity["type"]]
        if "昨天" in record["text"]:
            start = record["text"].index("昨天")
            record["entities"].append({"start": start, "end": start + 2, "type": "TIME"})
        record["domain"] = ("news", "chat")[number % 2]
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    (tmp_path / "foreign.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "foreign.yaml").write_text(
        "types: {PER: name, ORG: [company, government], TIME: time}\nopen: [product]\n", encoding="utf-8"
    )
    return tmp_path / "foreign.jsonl", tmp_path / "foreign.yaml"


def test_a_model_is_measured_on_the_declared_types_that_it_has(evaluate, toy, foreign, tmp_path):
    data, declaration = foreign
    code, output = evaluate(data, "--declaration", declaration, "--json", tmp_path / "out.json")
    assert code == 0, output
    times = data.read_text(encoding="utf-8").count('"TIME"')
    assert f"{times} gold spans left out: the model has no type of theirs (TIME {times})" in output
    evaluate(toy / "dev.jsonl", "--json", tmp_path / "plain.json")
    declared, plain = (json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("out.json", "plain.json"))
    for ours, theirs in zip(declared, plain, strict=True):
        assert ours["left_out"] == {"TIME": times}
        assert ours["per_group"].keys() == {"company", "name"}
        assert ours["per_domain"].keys() == {"chat", "news"}
        assert (theirs["per_group"], theirs["per_domain"], theirs["left_out"]) == ({}, {}, {})
        for name in ("lexicon", "f1", "precision", "recall", "per_type_f1", "faulty_sentences", "calibration_error"):
            assert ours[name] == theirs[name], name
    base = declared[1]
    assert sum(each["count"] for each in base["reliability"]) > 0
    assert base["per_group"]["name"] == base["per_type"]["name"]
    assert base["per_type"].keys() == base["per_type_f1"].keys() == {"company", "name"}
    assert all(base["per_type"][kind]["f1"] == f1 for kind, f1 in base["per_type_f1"].items())
    assert base["faulty_share"] == base["faulty_sentences"] / base["sentences"]
    assert (base["data"], Path(base["model"]).name) == (str(data), "best")
    assert "does not tell apart" not in output  # each of the model's types stands alone
    declaration.write_text("types: {PER: name, ORG: [company, name], TIME: time}\n", encoding="utf-8")
    assert "| company/name | 1.0000 |" in evaluate(data, "--declaration", declaration)[1]
    for part in ("| company | ", "| news | ", f"of {base['sentences']} sentences with a fault", "calibration error 0."):
        assert part in output, part


def test_what_has_no_gold_entity_has_no_recall_and_a_precision_where_something_was_found(evaluate, tmp_path):
    lines = [
        {"text": "北斗软件的赵伟", "entities": [{"start": 0, "end": 4, "type": "company"}], "domain": "news"},
        {"text": "今天", "entities": [], "domain": "none"},
    ]
    data = tmp_path / "domains.jsonl"
    data.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    code, output = evaluate(data, "--json", tmp_path / "out.json")
    assert code == 0, output
    assert "| none | – | – | – | 0 | 1 | 0 |" in output
    assert "| name | – | 0.0000 | – | 0 |" in output
    assert "| news | 0.6667 | 0.5000 | 1.0000 | 1 | 1 | 1 |" in output
    domains = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))[1]["per_domain"]
    counted = {name: (each["sentences"], each["faulty_sentences"]) for name, each in domains.items()}
    assert counted == {"news": (1, 1), "none": (1, 0)}


def test_a_declaration_that_does_not_fit_is_refused(evaluate, foreign, tmp_path):
    data, declaration = foreign
    for content, reason in (
        ("types: {PER: person}", "labels no type of the model (company, name); it names person"),
        ("types: {PER: name}", "foreign.jsonl:1: the declaration does not know the type 'ORG'; it knows PER"),
        ("types: {PER: none, ORG: none, TIME: name}", None),
        ("types: [PER]", "expected the key 'types'"),
    ):
        declaration.write_text(content, encoding="utf-8")
        code, output = evaluate(data, "--declaration", declaration)
        assert (code, reason is None or reason in output) == (0 if reason is None else 2, True), output


def test_the_reliability_diagram_is_drawn_where_it_is_asked_for(evaluate, toy, tmp_path):
    data = toy / "dev.jsonl"
    for name in ("one.svg", "two.svg"):
        assert evaluate(data, "--reliability", tmp_path / name)[0] == 0
    content = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert (tmp_path / "two.svg").read_text(encoding="utf-8") == content
    assert ">precision</text>" in content
    assert ">calibration error 0." in content
    for name, reason in (("no/a.svg", "--reliability: "), ("a.txt", "accepted endings: .svg, .png, .pdf")):
        code, output = evaluate(data, "--reliability", tmp_path / name)
        assert (code, reason in output) == (2, True), output
