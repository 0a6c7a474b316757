"""The head that scores spans: its scores, its loss, the spans that follow, and a teacher that has it."""

import json
import math
import re

import pytest
import torch
from conftest import toy_sentences, write_jsonl
from distillex_matcher import LabelScheme, Lexicon
from distillex_training.config import read_config
from distillex_training.errors import ConfigError, ModelDirectoryError, NotFiniteError
from distillex_training.finetune import finetune
from distillex_training.models import ConstrainedCrf, load_model
from distillex_training.models.global_pointer import (
    EfficientGlobalPointer,
    best_spans,
    gold_spans,
    multilabel_loss,
    rotate,
    span_bounds,
)
from distillex_training.span_head import SpanHeadRun, SpanTask, finetune_spans, label_texts, load_span_teacher
from distillex_training.tagging import read_data

pytestmark = pytest.mark.training

TYPES = ("company", "name")


def scores_of(wanted, characters, types=TYPES, low=-9.0):
    """Scores of one sentence. *Shape:* [1, S, types]."""
    square = torch.full((characters, characters, len(types)), low)
    for (start, end, kind), value in wanted.items():
        square[start, end - 1, types.index(kind)] = value
    first, last = span_bounds(characters)
    return square[first, last].unsqueeze(0)


def test_scores_are_those_of_the_formula():
    torch.manual_seed(1)
    pointer = EfficientGlobalPointer(6, 2, width=4)
    features = torch.randn(1, 5, 6)
    with torch.no_grad():
        scores = pointer(features)[0]
        both = pointer.query_key(features)[0]
        query, key = both[:, :4].tolist(), both[:, 4:].tolist()
        at_ends = pointer.type_at_ends(both).tolist()

    def turned(vector, place):
        pairs = [complex(vector[0], vector[1]), complex(vector[2], vector[3])]
        turns = [complex(math.cos(place * rate), math.sin(place * rate)) for rate in (1, 0.01)]
        return [pair * turn for pair, turn in zip(pairs, turns, strict=True)]

    spans = [(i, j) for i in range(5) for j in range(i, 5)]
    assert list(zip(*(bound.tolist() for bound in span_bounds(5)), strict=True)) == spans
    for place, (i, j) in enumerate(spans):
        product = sum((a * b.conjugate()).real for a, b in zip(turned(query[i], i), turned(key[j], j), strict=True))
        expected = [product / 2 + at_ends[i][kind] + at_ends[j][2 + kind] for kind in range(2)]
        assert scores[place].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_product_of_rotated_vectors_depends_on_the_distance_alone():
    torch.manual_seed(2)
    query, key = (torch.randn(8).expand(1, 60, 8) for _ in range(2))
    products = (rotate(query) @ rotate(key).transpose(1, 2))[0]
    for distance in (0, 1, 7):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=0)
    assert abs(float(products[0, 1] - products[0, 7])) > 1e-2


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="width is 5; an even number is accepted"):
        EfficientGlobalPointer(6, 2, width=5)


def test_the_loss_is_that_of_plain_sums():
    torch.manual_seed(3)
    scores, gold, counted = torch.randn(3, 20) * 3, torch.rand(3, 20) < 0.2, torch.rand(3, 20) < 0.7
    gold[1] = False
    scores.requires_grad_()
    loss = multilabel_loss(scores, gold, counted)
    loss.sum().backward()
    gradient, scores, loss = scores.grad, scores.detach(), loss.detach()
    for row in range(3):
        values = [(float(scores[row, i]), bool(gold[row, i])) for i in range(20) if counted[row, i]]
        others = sum(math.exp(score) for score, is_gold in values if not is_gold)
        found = sum(math.exp(-score) for score, is_gold in values if is_gold)
        assert float(loss[row]) == pytest.approx(math.log(1 + others) + math.log(1 + found), rel=1e-5)
        for i in range(20):
            score = float(scores[row, i])
            expected = -math.exp(-score) / (1 + found) if gold[row, i] else math.exp(score) / (1 + others)
            assert float(gradient[row, i]) == pytest.approx(expected if counted[row, i] else 0.0, abs=1e-6)


def test_the_loss_of_nothing_counted_is_zero_with_gradients_that_are_numbers():
    scores = torch.zeros(1, 4, requires_grad=True)
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    loss = multilabel_loss(scores, nothing, nothing)
    loss.sum().backward()
    assert float(loss.detach()) == 0.0
    assert scores.grad.tolist() == [[0.0] * 4]


def test_gold_spans_are_those_of_the_labels():
    scheme = LabelScheme(TYPES)
    sentences = [(6, [(0, 1, "name"), (1, 4, "company"), (4, 6, "name")]), (3, [(2, 3, "company")]), (2, [])]
    labels = torch.zeros(3, 6, dtype=torch.int64)
    for row, (length, spans) in enumerate(sentences):
        labels[row, :length] = torch.from_numpy(scheme.encode(spans, length))
    first, last = span_bounds(6)
    found = {
        (row, int(first[place]), int(last[place]) + 1, TYPES[kind])
        for row, place, kind in gold_spans(labels, scheme).nonzero().tolist()
    }
    assert found == {(row, *span) for row, (_, spans) in enumerate(sentences) for span in spans}


def test_of_overlapping_spans_the_highest_is_taken_and_then_what_it_leaves_free():
    wanted = {
        (0, 3, "name"): 1.0,
        (2, 5, "company"): 3.0,
        (2, 5, "name"): 2.0,
        (4, 6, "name"): 2.5,
        (5, 6, "name"): 0.5,
        (0, 2, "company"): 0.25,
        (6, 7, "name"): -0.5,
    }
    (found,) = best_spans(scores_of(wanted, 7), torch.tensor([7]), TYPES)
    assert [span[:3] for span in found] == [(0, 2, "company"), (2, 5, "company"), (5, 6, "name")]
    assert [span.score for span in found] == pytest.approx([1 / (1 + math.exp(-s)) for s in (0.25, 3.0, 0.5)])


def test_less_certain_spans_are_left_out_or_let_in_as_asked():
    scores = scores_of({(0, 1, "name"): 2.0, (2, 3, "name"): -1.0}, 3)
    for least, starts in ((0.9, []), (0.5, [0]), (0.2, [0, 2])):
        (found,) = best_spans(scores, torch.tensor([3]), TYPES, least_probability=least)
        assert [span.start for span in found] == starts


def test_spans_that_reach_into_the_padding_are_not_taken():
    scores = scores_of({(1, 3, "name"): 5.0, (0, 2, "name"): 1.0, (3, 4, "name"): 4.0}, 4)
    (found,) = best_spans(scores, torch.tensor([2]), TYPES)
    assert [span[:3] for span in found] == [(0, 2, "name")]


def test_the_head_learns_spans_by_heart():
    torch.manual_seed(4)
    scheme = LabelScheme(TYPES)
    records = list(toy_sentences(6, 5))
    lengths = torch.tensor([len(record["text"]) for record in records])
    characters = int(lengths.max())
    labels = torch.zeros(len(records), characters, dtype=torch.int64)
    wanted = [[tuple(entity.values()) for entity in record["entities"]] for record in records]
    for row, spans in enumerate(wanted):
        labels[row, : lengths[row]] = torch.from_numpy(scheme.encode(spans, int(lengths[row])))
    features = torch.randn(len(records), characters, 24)
    pointer = EfficientGlobalPointer(24, len(TYPES), width=16)
    optimizer = torch.optim.Adam(pointer.parameters(), lr=1e-2)
    gold = gold_spans(labels, scheme).transpose(1, 2)
    counted = (span_bounds(characters)[1] < lengths.unsqueeze(1)).unsqueeze(1).expand_as(gold)
    for _ in range(100):
        loss = multilabel_loss(pointer(features).transpose(1, 2), gold, counted).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = best_spans(pointer(features).detach(), lengths, TYPES)
    assert [[span[:3] for span in spans] for spans in found] == [sorted(spans) for spans in wanted]


@pytest.fixture(scope="module")
def configuration(teacher_configuration):
    """A configuration of a teacher that learns the toy language in a few epochs."""

    def read(**settings):
        learns = {"loop.epochs": "5", "encoder_learning_rate": "3e-3", "span_learning_rate": "1e-2", "dropout": "0.0"}
        return read_config(teacher_configuration, SpanHeadRun, learns | settings)

    return read


@pytest.fixture(scope="module")
def span_run(configuration, tmp_path_factory):
    """The run directory of a fine-tuned span teacher."""
    directory = tmp_path_factory.mktemp("spans")
    finetune_spans(configuration(), directory)
    return directory


def metrics(directory):
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_span_teacher_learns_and_labels_text_with_probabilities(toy, span_run):
    best = max(row["f1"] for row in metrics(span_run))
    assert best > 0.8
    teacher, layout = load_span_teacher(span_run / "best")
    featurizer = layout.featurizer(Lexicon.load(toy / "base.lex"))
    records = [json.loads(line) for line in (toy / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [record["text"] for record in records]
    found = label_texts(teacher, featurizer, texts)
    correct = sum(
        (entity["start"], entity["end"], entity["type"]) in {span[:3] for span in spans}
        for record, spans in zip(records, found, strict=True)
        for entity in record["entities"]
    )
    assert 2 * correct / (2 * len(records) + sum(map(len, found))) == pytest.approx(best)
    assert all(0.5 < span.score <= 1 for spans in found for span in spans)
    assert label_texts(teacher, featurizer, []) == []


def test_padding_changes_no_span(toy, span_run):
    teacher, layout = load_span_teacher(span_run / "best")
    featurizer = layout.featurizer(Lexicon.load(toy / "base.lex"))
    short, long = "赵伟加入了东方电子。", "今天东方电子的赵伟昨天说，孙芳离开北斗软件！"
    alone, together = (label_texts(teacher, featurizer, texts)[0] for texts in ([short], [short, long]))
    assert [span[:3] for span in alone] == [span[:3] for span in together]
    assert [s.score for s in alone] == pytest.approx([s.score for s in together], abs=1e-5)
    assert alone


@pytest.mark.parametrize("loss_by_type", [False, True])
def test_padding_changes_no_loss(configuration, span_run, loss_by_type):
    run = configuration()
    data = read_data(run.data, word_hash_size=run.word_hash_size)
    teacher, _ = load_span_teacher(span_run / "best")
    teacher.tag = EfficientGlobalPointer(teacher.config.head, 2)  # a trained one's scores of padding weigh nothing
    task = SpanTask(teacher, ConstrainedCrf(data.entity_types), data, run.augmentation, run.loop, [])
    task.loss_by_type = loss_by_type
    by_length = sorted(range(len(data.train)), key=lambda index: len(data.train[index].text))
    ends = [by_length[0], by_length[-1]]
    with torch.no_grad():
        alone = [float(task.loss(task.prepare([index], 0))) for index in ends]
        assert float(task.loss(task.prepare(ends, 0))) == pytest.approx(sum(alone) / 2, rel=1e-4)


@pytest.mark.parametrize("by_type", ["false", "true"])
def test_a_run_interrupted_and_resumed_ends_like_one_that_was_not(configuration, tmp_path, by_type):
    run = configuration(**{"loop.epochs": "2", "loss_by_type": by_type})
    finetune_spans(run, tmp_path / "whole")
    finetune_spans(run, tmp_path / "parts", max_steps=4)
    finetune_spans(run, tmp_path / "parts")
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")


def test_a_span_teacher_is_not_taken_for_one_with_a_crf_nor_the_other_way_round(span_run, toy_teacher):
    with pytest.raises(ModelDirectoryError, match="unknown kind 'span_teacher'"):
        load_model(span_run / "best")
    with pytest.raises(ModelDirectoryError, match="kind 'teacher'; 'span_teacher' is expected"):
        load_span_teacher(toy_teacher)


def test_scores_that_are_no_numbers_are_refused(toy, span_run):
    teacher, layout = load_span_teacher(span_run / "best")
    torch.nn.init.constant_(teacher.tag.type_at_ends.bias, math.nan)
    with pytest.raises(NotFiniteError, match="its weights are damaged"):
        label_texts(teacher, layout.featurizer(Lexicon.load(toy / "base.lex")), ["赵伟"])


def test_settings_that_a_span_head_does_not_know_are_refused(configuration, tmp_path):
    with pytest.raises(ConfigError, match="adversarial: not with a span head"):
        finetune_spans(configuration(adversarial="0.5"), tmp_path)


PARTIAL = [
    ({"weight": 0.5}, "its weight is 0.5"),
    ({"open": [{"start": 0, "end": 2, "types": ["company"]}]}, "[0, 2) is open for company"),
    (
        {"entities": [{"start": 1, "end": 3, "type": "name", "also": ["company"]}]},
        "[1, 3) may be name or company",
    ),
]


@pytest.mark.parametrize(("more", "reason"), PARTIAL)
def test_sentences_that_are_labelled_in_part_are_refused_by_file_and_line(configuration, tmp_path, more, reason):
    first, second = toy_sentences(2, 4)
    train = write_jsonl(tmp_path / "part.jsonl", [first, second | more])
    with pytest.raises(ConfigError, match=re.escape(f"{train}:2: {reason}; a span head learns from sentences of")):
        finetune_spans(configuration(**{"data.train": str(train)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_files_whose_labels_count_in_part_are_refused(configuration, tmp_path):
    train = write_jsonl(tmp_path / "part.jsonl", toy_sentences(2, 4))
    declaration = tmp_path / "part.yaml"
    declaration.write_text("types: {name: name, company: company}\nopen: [product]\n", encoding="utf-8")
    for keys, reason in (
        ({"weight": 0.5}, f"data.train: {train} has weight 0.5; a span head learns from sentences of weight 1"),
        ({"declaration": str(declaration)}, f"{train}:1 (by {declaration}): [0, 11) is open for product; a span"),
    ):
        settings = {"data.train": json.dumps([{"path": str(train)} | keys])}
        with pytest.raises(ConfigError, match=re.escape(reason)):
            finetune_spans(configuration(**settings), tmp_path / "run")


def test_both_heads_begin_with_the_same_weights_but_for_the_last_layer(configuration, tmp_path):
    rates = ("encoder_learning_rate", "learning_rate", "crf_learning_rate", "span_learning_rate")
    run = configuration(**dict.fromkeys(rates, "1e-30"), **{"loop.epochs": "1"})
    finetune(run, tmp_path / "crf")
    finetune_spans(run, tmp_path / "spans")
    crf, spans = load_model(tmp_path / "crf/best")[0], load_span_teacher(tmp_path / "spans/best")[0]
    theirs = {name: weight for name, weight in crf.state_dict().items() if not name.startswith("tag.")}
    ours = {name: weight for name, weight in spans.state_dict().items() if not name.startswith("tag.")}
    assert theirs.keys() == ours.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], atol=1e-20, rtol=0, msg=name)
