"""Sentences whose labels may be several: the loss, the scores, and the files of a run."""

import itertools
import json
import random

import pytest
import torch
from distillex_matcher import LabelScheme
from distillex_training.config import Corpus, StudentRun, TrainingCorpus, read_config
from distillex_training.data.batches import allowed_labels
from distillex_training.data.labelled import GoldSpan, OpenSpan, Sentence
from distillex_training.distill import distill
from distillex_training.errors import ConfigError
from distillex_training.evaluate import judged, score_sentences
from distillex_training.models import ConstrainedCrf
from distillex_training.tagging import GoldTask, TrainingPart, read_data

pytestmark = pytest.mark.training

TYPES = ("company", "name")
LENGTHS = (3, 2)


@pytest.fixture
def crf():
    torch.manual_seed(1)
    crf = ConstrainedCrf(TYPES).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    crf.hold_constraints()
    return crf


@pytest.fixture
def allowed():
    """Random sets of labels, with a sequence in each row that the scheme allows: all O."""
    allowed = (
        torch.rand(len(LENGTHS), max(LENGTHS), 1 + 4 * len(TYPES), generator=torch.Generator().manual_seed(2)) < 0.5
    )
    allowed[..., 0] = True
    return allowed


def loss_by_enumeration(crf, emissions, allowed, weights):
    """Every label sequence of every row, forbidden ones too, whose scores are -10000."""
    scores = crf.scores()

    def total(row, labels_at):
        paths = torch.tensor(list(itertools.product(*labels_at)))
        along = sum(emissions[row, place, paths[:, place]] for place in range(len(labels_at)))
        pairs = itertools.pairwise(range(len(labels_at)))
        between = sum(scores.transitions[paths[:, a], paths[:, b]] for a, b in pairs)
        return torch.logsumexp(along + between + scores.start[paths[:, 0]] + scores.end[paths[:, -1]], dim=0)

    lost = 0.0
    for row, length in enumerate(LENGTHS):
        inside = [allowed[row, place].nonzero().flatten().tolist() for place in range(length)]
        lost = lost + weights[row] * (total(row, [range(allowed.shape[2])] * length) - total(row, inside))
    return lost / sum(LENGTHS)


def test_the_loss_is_that_of_all_allowed_label_sequences_together(crf, allowed):
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)
    weights = torch.tensor([1.0, 0.25], dtype=torch.float64)
    emissions = torch.randn(*allowed.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    labels = torch.zeros(mask.shape, dtype=torch.int64)
    results = []
    for loss in (
        lambda given: crf.loss(given, labels, mask, allowed=allowed, weights=weights),
        lambda given: loss_by_enumeration(crf, given, allowed, weights),
    ):
        given = emissions.clone().requires_grad_()
        crf.zero_grad()
        value = loss(given)
        value.backward()
        results.append([value.detach(), given.grad * mask.unsqueeze(-1), *(p.grad.clone() for p in crf.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert results[0][0] > 0


def test_one_allowed_sequence_costs_what_its_labels_cost(crf):
    mask = torch.ones(1, 3, dtype=torch.bool)
    emissions = torch.randn(1, 3, 9, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    labels = torch.from_numpy(crf.scheme.encode([(0, 2, "name")], 3)).long().unsqueeze(0)
    allowed = torch.nn.functional.one_hot(labels, 9).bool()
    plain = crf.loss(emissions, labels, mask)
    torch.testing.assert_close(crf.loss(emissions, labels, mask, allowed=allowed), plain)
    everything = crf.loss(emissions, labels, mask, allowed=torch.ones_like(allowed))
    torch.testing.assert_close(everything, torch.zeros_like(everything))


def names_of(allowed, scheme):
    return [{scheme.labels[i] for i in row.nonzero()[0]} for row in allowed]


def test_a_character_may_have_the_labels_of_all_types_of_its_span():
    scheme = LabelScheme(TYPES)
    sentence = Sentence("甲乙丙丁", (GoldSpan(0, 3, "company", ("name",)), GoldSpan(3, 4, "name")))
    labels = scheme.encode([(0, 3, "company"), (3, 4, "name")], 4)
    assert names_of(allowed_labels(sentence, scheme, labels), scheme) == [
        {"B-company", "B-name"},
        {"I-company", "I-name"},
        {"E-company", "E-name"},
        {"S-name"},
    ]


def test_in_an_open_stretch_characters_outside_the_spans_may_be_of_its_types():
    scheme = LabelScheme(TYPES)
    types = ("company", "product")  # the model has no products
    sentence = Sentence("甲乙丙丁", (GoldSpan(0, 1, "name"),), (OpenSpan(0, 3, types),))
    names = names_of(allowed_labels(sentence, scheme, scheme.encode([(0, 1, "name")], 4)), scheme)
    opened = {"O", "B-company", "I-company", "E-company", "S-company"}
    assert names == [{"S-name"}, opened, opened, {"O"}]


PARTIAL = Sentence(
    "北斗公司昨天", (GoldSpan(0, 4, "company", ("government",)),), (OpenSpan(0, 6, ("time", "product")),)
)


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        ([(0, 4, "company")], (1, 1, 1)),
        ([(0, 4, "government")], (1, 1, 1)),  # any of its types
        ([(0, 4, "name")], (0, 1, 1)),
        ([(0, 2, "company")], (0, 1, 1)),
        ([(4, 6, "time")], (0, 0, 1)),  # left open: neither right nor wrong
        ([(4, 6, "company")], (0, 1, 1)),  # not left open
        ([(2, 6, "product")], (0, 1, 1)),  # left open, but what it takes a part of is labelled
        ([(0, 4, "product")], (0, 1, 1)),
        ([(0, 4, "government"), (4, 6, "time")], (1, 1, 1)),
    ],
)
def test_a_partly_labelled_sentence_is_scored_on_what_it_labels(found, counts):
    micro = score_sentences([PARTIAL], [found]).micro
    assert (micro.correct, micro.predicted, micro.gold) == counts


def test_a_span_outside_the_stretch_of_its_type_is_judged():
    sentence = Sentence("甲乙丙丁", (), (OpenSpan(0, 2, ("time",)),))
    assert judged([sentence], [[(0, 2, "time"), (1, 3, "time"), (2, 4, "time"), (0, 1, "name")]]) == [
        [(1, 3, "time"), (2, 4, "time"), (0, 1, "name")]
    ]


@pytest.fixture
def run_of(toy, tmp_path):
    """A toy run whose data: has other keys."""

    def read(overrides=None, **data):
        content = json.dumps(data, ensure_ascii=False, default=str)
        text = (toy / "student.yaml").read_text(encoding="utf-8")
        start, end = text.index("data:"), text.index("student:")
        (tmp_path / "run.yaml").write_text(f"{text[:start]}data: {content}\n{text[end:]}", encoding="utf-8")
        common = {"data.lexicon": str(toy / "base.lex"), "data.minimum_count": "1", "loop.epochs": "1"}
        return read_config(tmp_path / "run.yaml", StudentRun, common | (overrides or {}))

    return read


def test_a_labelled_file_is_its_path_or_an_object(toy, run_of):
    train, dev = toy / "train.jsonl", toy / "dev.jsonl"
    declaration = toy / "some.yaml"
    given = {"path": dev, "declaration": declaration}
    run = run_of(train=[train, {"path": dev, "weight": 0.5, "per_epoch": 7}], dev=dev, test=[given])
    assert run.data.train == (TrainingCorpus(train), TrainingCorpus(dev, weight=0.5, per_epoch=7))
    assert run.data.dev == (Corpus(dev),)
    assert run.data.test == (Corpus(dev, declaration),)
    assert run_of(train={"path": train, "weight": 2}, dev=[dev]).data.train == (TrainingCorpus(train, weight=2.0),)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([{"path": "a", "weight": -1}], "weight"),
        ([{"path": "a", "per_epoch": 1.5}], "per_epoch"),
        (
            [{"path": "a", "share": 1}],
            "unknown key 'data.train.0.share'; accepted keys: path, declaration, weight, per_epoch",
        ),
        ([{"weight": 1}], r"the key 'data\.train\.0\.path' is missing"),
        ([3], r"data\.train\.0 is 3; a path or the keys path, declaration, weight, per_epoch is accepted"),
        ([], r"the key 'data\.train' is missing"),
    ],
)
def test_what_is_no_labelled_file_is_refused(toy, run_of, train, message):
    with pytest.raises(ConfigError, match=message):
        run_of(train=train, dev=str(toy / "dev.jsonl"))


def test_a_development_file_has_no_weight(toy, run_of):
    with pytest.raises(ConfigError, match=r"unknown key 'data\.dev\.0\.weight'; accepted keys: path, declaration"):
        run_of(train=str(toy / "train.jsonl"), dev=[{"path": str(toy / "dev.jsonl"), "weight": 1.0}])


def test_of_a_file_so_many_sentences_are_drawn_for_each_epoch():
    few, all_, more = TrainingPart(10, 4), TrainingPart(3), TrainingPart(4, 10)
    drawn = few.draw(100, random.Random(1))
    assert len(set(drawn)) == 4
    assert set(drawn) <= set(range(100, 110))
    assert all_.draw(5, random.Random(1)) == [5, 6, 7]
    repeated = more.draw(0, random.Random(1))
    assert sorted(repeated.count(each) for each in range(4)) == [2, 2, 3, 3]


def test_weights_and_draws_of_several_files_reach_the_epochs(toy, run_of):
    train, dev = toy / "train.jsonl", toy / "dev.jsonl"
    config = run_of(train=[{"path": train, "per_epoch": 5}, {"path": dev, "weight": 0.5}], dev=dev).data
    data = read_data(config, word_hash_size=64)
    assert [sentence.weight for sentence in data.train] == [1.0] * 96 + [0.5] * 24
    task = GoldTask.__new__(GoldTask)
    task._parts, task.loop = data.parts, run_of(train=train, dev=dev).loop
    first, second = task.gold_indices(0), task.gold_indices(1)
    for drawn in (first, second):
        assert len([i for i in drawn if i < 96]) == 5
        assert [i for i in drawn if i >= 96] == list(range(96, 120))
    assert first != second
    assert first == task.gold_indices(0)


@pytest.fixture
def foreign(toy, tmp_path):
    """The development file in another corpus's types, names not labelled, and its declaration."""
    lines = []
    for line in (toy / "dev.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        record["entities"] = [e | {"type": "ORG"} for e in record["entities"] if e["type"] == "company"]
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    (tmp_path / "foreign.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "foreign.yaml").write_text("types: {ORG: company}\nopen: [name]\n", encoding="utf-8")
    return {"path": tmp_path / "foreign.jsonl", "declaration": tmp_path / "foreign.yaml"}


def test_test_files_are_scored_once_at_the_end_and_change_nothing_else(toy, run_of, foreign, tmp_path):
    train, dev = toy / "train.jsonl", toy / "dev.jsonl"
    epochs = {"loop.epochs": "4"}
    distill(run_of(epochs, train=train, dev=dev), tmp_path / "without")
    distill(run_of(epochs, train=train, dev=dev, test=[dev, foreign]), tmp_path / "with", max_steps=8)
    assert not (tmp_path / "with" / "test.json").exists()
    distill(run_of(epochs, train=train, dev=dev, test=[dev, foreign]), tmp_path / "with")
    for name in ("model.safetensors", "vocabulary.txt"):
        without, tested = (tmp_path / run / "best" / name for run in ("without", "with"))
        assert without.read_bytes() == tested.read_bytes(), name
    curves = [
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        for run in ("without", "with")
    ]
    assert [row["f1"] for row in curves[0]] == [row["f1"] for row in curves[1]]
    assert not any("foreign" in key for row in curves[1] for key in row)
    scores = json.loads((tmp_path / "with" / "test.json").read_text(encoding="utf-8"))
    assert scores["f1_dev"] == pytest.approx(max(row["f1"] for row in curves[0]))
    assert scores["f1"] == pytest.approx((scores["f1_dev"] + scores["f1_foreign"]) / 2)
    assert scores["f1_foreign"] > 0.9
    assert not (tmp_path / "without" / "test.json").exists()


def test_a_run_that_ended_before_its_test_scores_were_written_writes_them_when_called_again(
    toy, run_of, tmp_path, monkeypatch, caplog
):
    run = run_of({"loop.epochs": "1"}, train=toy / "train.jsonl", dev=toy / "dev.jsonl", test=toy / "dev.jsonl")

    def killed(task, directory):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GoldTask, "test", killed)
        with pytest.raises(KeyboardInterrupt):
            distill(run, tmp_path)
    assert (tmp_path / "finished.json").exists()
    assert not (tmp_path / "test.json").exists()
    weights = (tmp_path / "best" / "model.safetensors").read_bytes()
    with caplog.at_level("INFO", "distillex.training"):
        best = distill(run, tmp_path)
    assert "is finished already: nothing was trained" in caplog.text
    assert json.loads((tmp_path / "test.json").read_text(encoding="utf-8"))["f1"] == best["f1"]
    assert (tmp_path / "best" / "model.safetensors").read_bytes() == weights
    before = (tmp_path / "test.json").stat().st_mtime_ns
    assert distill(run, tmp_path) == best
    assert (tmp_path / "test.json").stat().st_mtime_ns == before


def test_of_several_development_files_the_mean_picks(toy, run_of, foreign, tmp_path):
    best = distill(run_of({"loop.epochs": "2"}, train=toy / "train.jsonl", dev=[toy / "dev.jsonl", foreign]), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        assert row["f1"] == pytest.approx((row["f1_dev"] + row["f1_foreign"]) / 2)
    assert best["f1"] == max(row["f1"] for row in rows)


def test_a_student_learns_from_files_that_label_a_part_each(toy, run_of, foreign, tmp_path):
    names = []
    for line in (toy / "train.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        record["entities"] = [e | {"type": "PER"} for e in record["entities"] if e["type"] == "name"]
        names.append(json.dumps(record, ensure_ascii=False) + "\n")
    companies = (toy / "train.jsonl").read_text(encoding="utf-8")
    (tmp_path / "names.jsonl").write_text("".join(names), encoding="utf-8")
    (tmp_path / "names.yaml").write_text("types: {PER: name}\nopen: [company]\n", encoding="utf-8")
    (tmp_path / "companies.jsonl").write_text(companies, encoding="utf-8")
    (tmp_path / "companies.yaml").write_text("types: {name: none, company: company}\nopen: [name]\n", encoding="utf-8")
    train = [{"path": tmp_path / f"{n}.jsonl", "declaration": tmp_path / f"{n}.yaml"} for n in ("names", "companies")]
    # A declaration that is of the model's types alone needs no data.types.
    best = distill(run_of({"loop.epochs": "4"}, train=train, dev=toy / "dev.jsonl"), tmp_path / "run")
    assert best["f1"] > 0.8


def test_what_a_declaration_trims_is_trimmed_of_what_is_found(toy, run_of, tmp_path):
    declaration = tmp_path / "trimmed.yaml"
    declaration.write_text("types: {name: name, company: company}\ntrim: 赵钱孙李周吴\n", encoding="utf-8")
    dev = [toy / "dev.jsonl", {"path": toy / "dev.jsonl", "declaration": declaration}]
    scores = [
        distill(run_of({"loop.epochs": "4"}, train=toy / "train.jsonl", dev=each), tmp_path / str(number))["f1"]
        for number, each in enumerate(dev)
    ]
    assert scores[0] > 0.9
    assert scores[1] == pytest.approx(scores[0], abs=0.05)
