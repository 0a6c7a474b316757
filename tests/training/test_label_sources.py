"""Labels from anywhere: files of an LLM, GLiNER, rules or people as what a student learns from."""

import json
import random
import re

import pytest
from conftest import toy_sentences, write_jsonl
from distillex_training.config import LabelSource, StudentRun, TeacherRun, read_config
from distillex_training.data.label_sources import SourceFile, draw_by_score, read_aligned
from distillex_training.data.labelled import GoldSpan, OpenSpan, Sentence
from distillex_training.distill import distill
from distillex_training.errors import ConfigError, DataError
from distillex_training.finetune import finetune
from distillex_training.models import load_model
from distillex_training.tagging import read_data
from typer.testing import CliRunner

pytestmark = pytest.mark.training

MODEL = ("company", "name", "product")


def by_text(record, score=None):
    """A record as an LLM gives it: entities by their text alone."""
    entities = [
        {"text": record["text"][e["start"] : e["end"]], "type": e["type"]} | ({"score": score} if score else {})
        for e in record["entities"]
    ]
    return {"text": record["text"], "entities": entities}


def source(tmp_path, *records, **settings):
    path = tmp_path / "labels.jsonl"
    return SourceFile.of(LabelSource(write_jsonl(path, records), **settings))


def spans_of(record):
    return [(record.text[s.start : s.end], s.types, s.score) for s in record.spans]


def test_entities_are_read_as_gliner_gives_them(tmp_path):
    entities = [{"start": 0, "end": 2, "text": "张伟", "label": "name", "score": 0.75}]
    (record,) = read_aligned(write_jsonl(tmp_path / "a.jsonl", [{"text": "张伟来了", "entities": entities}]))[0].records
    assert spans_of(record) == [("张伟", ("name",), 0.75)]


def test_offsets_that_hold_another_text_give_way_to_the_text(tmp_path):
    entities = [{"start": 1, "end": 3, "text": "张伟", "type": "name"}, {"start": 2, "end": 3, "type": "x"}]
    file, report = read_aligned(write_jsonl(tmp_path / "a.jsonl", [{"text": "张伟来了", "entities": entities}]))
    assert sorted(spans_of(file.records[0])) == [("张伟", ("name",), 1.0), ("来", ("x",), 1.0)]
    assert "1 of them had offsets that hold another text" in report.lines()


def test_further_types_of_an_entity_given_by_its_text_are_kept(tmp_path):
    entities = [{"text": "苹果", "type": "company", "also": ["product"]}, {"text": "梨", "type": "a", "also": ["b"]}]
    path = write_jsonl(tmp_path / "labels.jsonl", [{"text": "吃苹果", "entities": entities}])
    ((record,), problems) = (read_aligned(path)[0].records, read_aligned(path)[0].problems)
    assert not problems
    assert [span.types for span in record.spans] == [("company", "product")]
    assert record.open == (OpenSpan(0, 3, ("a", "b")),)


def test_the_type_of_an_entity_that_is_not_found_stays_open_in_its_sentence(tmp_path):
    entities = [{"text": "张伟", "type": "name"}, {"text": "上海", "type": "place"}]
    record = {"text": "张伟来了", "entities": entities}
    file, report = read_aligned(write_jsonl(tmp_path / "a.jsonl", [record, {"text": "没有", "entities": []}]))
    assert file.records[0].open == (OpenSpan(0, 4, ("place",)),)
    assert file.records[1].open == ()
    assert any("1 of them stand nowhere" in line and "a.jsonl:1: '上海' place" in line for line in report.lines())


def test_every_problem_is_named_with_its_line(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        '{"text": "张伟", "entities": [{"text": "张伟", "type": "name", "score": 1.5}]}',
        "",
        "not JSON",
        '{"text": "张伟", "entities": [1]}',
        '{"text": "张伟", "entities": [{"text": "张伟"}]}',
        r'{"text": "张\ud800", "entities": [{"text": "张", "type": "name"}]}',
        r'{"text": "张伟", "entities": [{"text": "\ud800", "type": "name"}]}',
    ]
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    file, _ = read_aligned(path)
    told = [str(problem) for problem in file.problems]
    assert list(dict.fromkeys(re.search(r":(\d+):", line)[1] for line in told)) == list("1345678")
    assert "the score of an entity is 1.5; a number from 0 to 1 is accepted" in told[0]
    assert file.blank_lines == 1


@pytest.mark.parametrize("train", [True, False])
def test_training_names_the_problems_of_a_file(toy, run_of, tmp_path, train):
    path = write_jsonl(tmp_path / "labels.jsonl", [{"text": "张伟来了", "label": [[0, 2, "name"]]}])
    data = {"dev": toy / "dev.jsonl"} | ({"train": toy / "train.jsonl"} if train else {})
    run = run_of([str(path)], data)
    with pytest.raises(DataError, match=r"labels\.jsonl:1: no \"entities\", but 'label': the file is not in this form"):
        read_data(run.data, word_hash_size=64, labels=run.distillation.labels)


def test_types_of_the_model_that_a_file_does_not_name_stay_open_and_its_own_are_no_entities(tmp_path):
    record = {"text": "张伟在上海", "entities": [{"text": "张伟", "type": "name"}, {"text": "上海", "type": "place"}]}
    file = source(tmp_path, record)
    (read,) = file.records(MODEL).records
    assert spans_of(read) == [("张伟", ("name",), 1.0)]
    assert read.open == (OpenSpan(0, 5, ("company", "product")),)
    notes = "\n".join(file.notes)
    assert "does not label company, product: these stay open in it" in notes
    assert "place 1: the model has no such type: taught as no entity" in notes


def test_types_says_what_a_file_labels(tmp_path):
    record = {"text": "张伟在东方", "entities": [{"text": "张伟", "type": "name"}, {"text": "东方", "type": "company"}]}
    (whole,) = source(tmp_path, record, types=MODEL).records(MODEL).records
    assert whole.open == ()
    assert len(whole.spans) == 2
    (one,) = source(tmp_path, record, types=("name",)).records(MODEL).records
    assert spans_of(one) == [("张伟", ("name",), 1.0)]
    # What else it labels is not to be relied on: it may be anything.
    assert OpenSpan(3, 5, MODEL) in one.open
    assert OpenSpan(0, 5, ("company", "product")) in one.open
    with pytest.raises(DataError, match=r"types: 'nmae' is no type of the model or of the file \(company, name, prod"):
        source(tmp_path, record, types=("nmae",)).records(MODEL)
    with pytest.raises(DataError, match=r"labels company, name, none of the model's types \(movie\)"):
        source(tmp_path, record).records(("movie",))
    with pytest.raises(ValueError, match="with a declaration"):
        LabelSource(tmp_path / "a", types=("name",), declaration=tmp_path / "b")


def test_a_declaration_says_what_the_types_of_a_source_mean(tmp_path):
    declaration = tmp_path / "declared.yaml"
    declaration.write_text("types: {PER: name, ORG: [company, product], X: game}\nopen: [product]\n", encoding="utf-8")
    record = {"text": "张伟在东方", "entities": [{"text": "张伟", "type": "PER"}, {"text": "西方", "type": "ORG"}]}
    (read,) = source(tmp_path, record, declaration=declaration).records(MODEL).records
    assert spans_of(read) == [("张伟", ("name",), 1.0)]
    assert read.open == (OpenSpan(0, 5, ("company", "product")), OpenSpan(0, 5, ("product",)))


def test_below_the_threshold_an_entity_says_nothing_of_its_characters(tmp_path):
    entities = [{"text": "张伟", "type": "name", "score": 0.4}, {"text": "东方", "type": "company", "score": 0.5}]
    file = source(tmp_path, {"text": "张伟在东方", "entities": entities}, threshold=0.5, types=MODEL)
    (read,) = file.records(MODEL).records
    assert spans_of(read) == [("东方", ("company",), 0.5)]
    assert read.open == (OpenSpan(0, 2, MODEL),)
    assert any("1 entities of a score below 0.5 stay open" in note for note in file.notes)


def test_a_score_is_the_share_of_epochs_that_teach_an_entity():
    sure, doubted = GoldSpan(0, 2, "name"), GoldSpan(3, 5, "company", score=0.3)
    sentence = Sentence("张伟在东方", (sure, doubted))
    drawn = [draw_by_score(sentence, MODEL, random.Random(seed)) for seed in range(2000)]
    assert all(each.spans[0] == sure for each in drawn)
    taught = [each for each in drawn if len(each.spans) == 2]
    assert 0.25 < len(taught) / len(drawn) < 0.35
    assert all(each.open == () for each in taught)
    assert all(each.open == (OpenSpan(3, 5, MODEL),) for each in drawn if len(each.spans) == 1)
    certain = Sentence("张伟在东方", (sure,))
    assert draw_by_score(certain, MODEL, random.Random(1)) is certain


@pytest.fixture
def run_of(toy, tmp_path):
    """A toy run with other data and labels."""

    def read(labels, data=None, **overrides):
        content = {"lexicon": str(toy / "base.lex"), "minimum_count": 1, **(data or {})}
        text = (toy / "student.yaml").read_text(encoding="utf-8")
        text = f"data: {json.dumps(content, default=str)}\n{text[text.index('student:') :]}"
        distillation = json.dumps({"labels": labels}, default=str, ensure_ascii=False)
        (tmp_path / "run.yaml").write_text(f"{text}distillation: {distillation}\n", encoding="utf-8")
        return read_config(tmp_path / "run.yaml", StudentRun, overrides)

    return read


@pytest.fixture(scope="module")
def noisy_labels(toy, tmp_path_factory):
    """The toy's training file as a model labels it: by text, a fifth of the entities wrong and of low scores."""
    generator = random.Random(5)
    records = []
    for record in toy_sentences(96, 1):
        labelled = by_text(record)
        for entity in labelled["entities"]:
            entity["score"] = round(generator.uniform(0.8, 1.0), 2)
            if generator.random() < 0.2:
                other = "company" if entity["type"] == "name" else "name"
                wrong = ({"type": other}, {"text": entity["text"][1:]}, {"text": "无此文"})
                entity |= {"score": round(generator.uniform(0.1, 0.6), 2), **generator.choice(wrong)}
        records.append(labelled)
    return write_jsonl(tmp_path_factory.mktemp("noisy") / "labels.jsonl", records)


def f1_of(model, toy):
    from distillex_matcher import Lexicon
    from distillex_training import evaluate
    from distillex_training.data.labelled import read_labelled

    tagger, crf, layout = load_model(model)
    sentences, _ = read_labelled(toy / "dev.jsonl")
    featurizer = layout.featurizer(Lexicon.load(toy / "base.lex"))
    texts = [sentence.text for sentence in sentences]
    found = evaluate.predict_with_scores(featurizer, evaluate.torch_emissions(tagger), crf.decoder(), texts)
    return evaluate.score_found(sentences, found, "").micro.f1


def test_noisy_labels_alone_come_near_to_gold(toy, toy_student, noisy_labels, run_of, tmp_path, caplog):
    run = run_of([{"path": noisy_labels, "threshold": 0.3}], **{"loop.epochs": "6"})
    with caplog.at_level("INFO", "distillex.training"):
        best = distill(run, tmp_path / "run")
    assert best == {"last_epoch": 6}
    assert "entities were given by their text" in caplog.text
    assert "stand nowhere in their text" in caplog.text
    assert "no development file: these weights are kept" in caplog.text
    assert load_model(tmp_path / "run" / "best")[1].scheme.entity_types == ("company", "name")
    assert f1_of(tmp_path / "run" / "best", toy) >= f1_of(toy_student, toy) - 0.03


def test_without_a_development_file_the_command_says_which_epoch_is_kept(toy, noisy_labels, run_of, tmp_path):
    from distillex.command.main import application

    run_of([str(noisy_labels)])
    given = ["distill", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "run"), "--set", "loop.epochs=1"]
    result = CliRunner().invoke(application, given)
    assert result.exit_code == 0, result.output
    assert f"no development file: the last epoch (1) is kept; model in {tmp_path}/run/best" in result.output
    again = CliRunner().invoke(application, given)
    assert again.exit_code == 0
    assert "no development file: the last epoch (1) is kept" in again.output


def test_a_run_without_development_interrupted_and_resumed_ends_like_one_that_was_not(noisy_labels, run_of, tmp_path):
    run = run_of([{"path": noisy_labels, "per_epoch": 40}], **{"loop.epochs": "2"})
    distill(run, tmp_path / "whole")
    distill(run, tmp_path / "run", max_steps=2)
    distill(run, tmp_path / "run", max_steps=2)
    distill(run, tmp_path / "run")
    ours, theirs = ((tmp_path / name / "best" / "model.safetensors").read_bytes() for name in ("run", "whole"))
    assert ours == theirs


def test_labels_beside_gold_and_a_teacher_leave_its_cache_as_it_is(toy, toy_teacher, noisy_labels, run_of, tmp_path):
    data = {"train": toy / "train.jsonl", "dev": toy / "dev.jsonl", "raw": [toy / "raw.txt"]}
    settings = {
        "distillation.teacher": str(toy_teacher),
        "distillation.cache": str(tmp_path / "cache"),
        "loop.epochs": "1",
    }
    distill(run_of([], data, **settings), tmp_path / "without")
    (cache,) = (tmp_path / "cache").iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    run = run_of([{"path": noisy_labels, "weight": 0.5, "per_epoch": 30}], data, **settings)
    best = distill(run, tmp_path / "with")
    assert "f1" in best
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cache.name]
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    losses = [json.loads((tmp_path / name / "metrics.jsonl").read_text())["step"] for name in ("without", "with")]
    assert losses[1] == losses[0] + 2  # 30 sentences more, 16 a batch


def test_weights_and_scores_of_labels_reach_the_batches(toy, toy_teacher, run_of, tmp_path):
    labels = write_jsonl(tmp_path / "labels.jsonl", [by_text(record, 0.5) for record in toy_sentences(8, 9)])
    run = run_of([{"path": labels, "weight": 0.25}], {"train": toy / "train.jsonl", "dev": toy / "dev.jsonl"})
    data = read_data(run.data, word_hash_size=64, labels=run.distillation.labels)
    assert {sentence.weight for sentence in data.sourced} == {0.25}
    from distillex_training.distill import DistillationTask, build_student

    student, crf = build_student(run, data)
    task = DistillationTask(
        *(student, crf, data, run.augmentation, run.loop, []),
        switches=run.distillation,
        projection_rate=0.0,
        cache=None,
    )
    first = len(data.train)
    sourced = [index for batch in task.batches(0) for index in batch if index >= first]
    assert sorted(sourced) == list(range(first, first + 8))
    batch = task.batch(sourced, 0)
    assert batch.allowed is not None
    assert set(batch.weights.tolist()) == {0.25}
    counts = [sum(len(task.sentence(index, epoch).spans) for index in sourced) for epoch in range(50)]
    assert 0.4 < sum(counts) / (50 * 16) < 0.6
    assert counts == [sum(len(task.sentence(index, epoch).spans) for index in sourced) for epoch in range(50)]


@pytest.mark.parametrize("loss", ["token_kl", "crf_marginal_kl", "logit_mse", "logit_kl", "hidden_mse"])
def test_losses_that_need_a_model_s_outputs_are_refused_by_name_beside_labels_alone(noisy_labels, run_of, loss):
    with pytest.raises(ConfigError, match=rf"distillation\.losses\.{loss} is 0\.5: it needs what a model says of each"):
        run_of([str(noisy_labels)], **{f"distillation.losses.{loss}": "0.5"})


def test_a_run_is_refused_that_has_training_but_no_development_sentences(toy, noisy_labels, run_of):
    with pytest.raises(ConfigError, match=r"the key 'data\.dev' is missing; it may be absent where 'data\.train' is"):
        run_of([str(noisy_labels)], {"train": toy / "train.jsonl"})


def test_a_teacher_is_fine_tuned_on_labels_from_anywhere(toy, toy_encoder, noisy_labels, tmp_path):
    (tmp_path / "teacher.yaml").write_text(
        f"""
data: {{dev: {toy}/dev.jsonl, lexicon: {toy}/base.lex, minimum_count: 1}}
encoder: {toy_encoder}
distillation: {{labels: {noisy_labels}}}
loop: {{epochs: 1, batch_size: 16, averaging: 0.0}}
head: 32
word_hash_size: 64
""",
        encoding="utf-8",
    )
    best = finetune(read_config(tmp_path / "teacher.yaml", TeacherRun), tmp_path / "run")
    assert "f1" in best
    assert load_model(tmp_path / "run" / "best")[1].scheme.entity_types == ("company", "name")
