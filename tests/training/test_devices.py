"""What trains, evaluates and calibrates does so on the models' device.

Without a GPU, on PyTorch's ``meta`` device: what a GPU computes is not tested, but that nothing stays behind on the CPU
is, since operations refuse tensors of two devices.
"""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from distillex_matcher import Lexicon
from distillex_training import calibrate as calibration
from distillex_training import processes
from distillex_training.config import Corpus, StudentRun, read_config
from distillex_training.distill import student_task
from distillex_training.evaluate import torch_emissions
from distillex_training.opened_model import open_model

pytest.importorskip("transformers", reason="needs transformers")

pytestmark = pytest.mark.training
META = torch.device("meta")


class ReachedError(Exception):
    """A model was asked for emissions."""


@pytest.fixture
def elsewhere(monkeypatch):
    """Say that models are trained on the device ``meta``, and stop where emissions are computed there."""
    monkeypatch.setattr(processes, "device", lambda: META)
    seen = []

    def forward(self, *inputs):
        seen.append({next(self.parameters()).device, *(each.device for each in inputs)})
        raise ReachedError

    from distillex_training.models import Student, Teacher

    for kind in (Student, Teacher):
        monkeypatch.setattr(kind, "forward", forward)
    return seen


def test_an_opened_model_labels_where_models_are_trained(toy, toy_student, toy_teacher, elsewhere):
    base = Lexicon.load(toy / "base.lex")
    for directory in (toy_student, toy_teacher):
        with pytest.raises(ReachedError):
            open_model(directory).predict(["赵伟加入了东方电子。"], base)
    assert elsewhere == [{META}, {META}]


def test_a_model_is_calibrated_where_models_are_trained(toy, toy_student, elsewhere, tmp_path):
    with pytest.raises(ReachedError):
        calibration.calibrate(toy_student, [Corpus(toy / "dev.jsonl")], toy / "base.lex", tmp_path / "calibrated")
    assert elsewhere == [{META}]


def test_the_picked_model_is_tested_where_it_was_trained(toy, toy_student, elsewhere):
    task = student_task(read_config(toy / "student.yaml", StudentRun, {"data.test": str(toy / "dev.jsonl")}))
    task.model.to(META)
    with pytest.raises(ReachedError):
        task.test(toy_student)
    assert elsewhere == [{META}]


def test_emissions_of_a_model_on_another_device_come_back_to_the_cpu(monkeypatch):
    class OnAnother(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))

        def forward(self, *inputs):
            assert {each.device for each in inputs} == {META}
            return SimpleNamespace(float=lambda: SimpleNamespace(cpu=lambda: torch.ones(1, 3, 2)))

    features = SimpleNamespace(
        input_ids=np.zeros((1, 3), np.int32),
        **dict.fromkeys(("lexicon_types", "lexicon_words", "lexicon_weights"), np.zeros((1, 3, 4, 4), np.int32)),
    )
    assert torch_emissions(OnAnother())(features).tolist() == torch.ones(1, 3, 2).tolist()


def losses_of(task):
    """The loss of a batch of each kind of sentences, by the number of its first one."""
    task.model.to(META)
    found = {}
    for batch in task.batches(0):
        loss = task.loss(task.prepare(batch, 0))
        assert loss.device == META
        loss.backward()
        found[batch[0]] = loss
    return found


EVERY_LOSS = (
    "{viterbi: 1.0, token_kl: 1.0, crf_marginal_kl: 1.0, k_best: 1.0, logit_mse: 1.0, logit_kl: 1.0, hidden_mse: 1.0}"
)


def test_every_loss_of_a_student_is_computed_where_the_student_is(toy, toy_teacher, monkeypatch, tmp_path):
    settings = {
        "data.raw": f"[{toy}/raw.txt]",
        "distillation.teacher": str(toy_teacher),
        "distillation.cache": str(tmp_path / "cache"),
        "distillation.losses": EVERY_LOSS,
        "distillation.labels": f"{toy}/dev.jsonl",
        "everyday.sentences": "8",
        "everyday.pieces": "1.0",
    }
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # which this device does not have
    task = student_task(read_config(toy / "student.yaml", StudentRun, settings))
    kinds = {(begin >= 96) + (begin >= 156) + (begin >= 180) for begin in losses_of(task)}
    assert kinds == {0, 1, 2, 3}  # labelled, raw, labels from anywhere, everyday
