"""Features made ahead of the training step: in order, no more than asked for, and the run is the same."""

import threading

import pytest
from distillex_training.config import PretrainRun, StudentRun, TeacherRun, read_config
from distillex_training.distill import distill
from distillex_training.finetune import finetune
from distillex_training.prefetch import made_ahead
from distillex_training.pretrain import pretrain

pytest.importorskip("transformers", reason="needs transformers")

pytestmark = pytest.mark.training


def test_results_come_in_order_and_at_most_so_many_ahead():
    begun, taken = [], 0

    def make(item):
        begun.append(item)
        assert len(begun) - taken <= 4  # three wait, one more when one is taken
        return item * item

    for expected, made in enumerate(made_ahead(make, range(20), 3)):
        assert made == expected * expected
        taken += 1
    assert begun == list(range(20))


def test_the_next_is_made_while_this_one_is_used():
    made = {item: threading.Event() for item in range(3)}
    results = made_ahead(lambda item: (made[item].set(), item)[1], range(3), 1)
    assert next(results) == 0
    assert made[1].wait(60)  # nobody has asked for it
    assert not made[2].is_set()
    assert list(results) == [1, 2]


def test_without_any_ahead_all_is_made_in_the_caller_s_thread():
    results = made_ahead(lambda item: (item, threading.current_thread()), range(2), 0)
    assert list(results) == [(0, threading.current_thread()), (1, threading.current_thread())]


def test_an_error_is_raised_where_its_result_is_due_and_nothing_runs_on():
    def make(item):
        if item == 1:
            raise ValueError("bad")
        return item

    before = threading.active_count()
    results = made_ahead(make, range(9), 2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="bad"):
        next(results)
    assert threading.active_count() == before


def test_a_thread_ends_with_whoever_leaves_early():
    before = threading.active_count()
    results = made_ahead(str, range(9), 2)
    assert next(results) == "0"
    results.close()
    assert threading.active_count() == before


STUDENT = {
    "everyday.sentences": "20",
    "everyday.pieces": "0.9",
    "augmentation.exchanged": "0.5",
    "augmentation.noisy": "0.3",
    "distillation.losses": "{viterbi: 1.0, token_kl: 0.5}",
    "loop.accumulate": "2",
    "loop.epochs": "2",
}


def test_a_run_is_the_same_with_and_without_features_ahead_interrupted_or_not(
    toy, toy_teacher, teacher_configuration, tmp_path
):
    (tmp_path / "templates.txt").write_text("听说{firm}又涨价了\n", encoding="utf-8")
    (tmp_path / "firms.txt").write_text("闪电鲸\n东方红\n", encoding="utf-8")
    (tmp_path / "pretrain.yaml").write_text(
        f"raw: [{toy}/raw.txt]\nwhole_word: false\nminimum_count: 1\nsequence_length: 32\nheld_out: 6\n"
        "encoder: {model_type: albert, embedding_size: 8, hidden_size: 16, num_hidden_layers: 1,"
        " num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 64}\n"
        "loop: {steps: 8, batch_size: 4}\n",
        encoding="utf-8",
    )
    everything = STUDENT | {
        "data.raw": f"[{toy}/raw.txt]",
        "distillation.teacher": str(toy_teacher),
        "distillation.cache": str(tmp_path / "cache"),
        "distillation.labels": f"{toy}/dev.jsonl",
        "everyday.templates": f"[{tmp_path}/templates.txt]",
        "everyday.slots": f"[{{name: firm, type: company, words: [{tmp_path}/firms.txt]}}]",
    }
    commands = (
        (distill, toy / "student.yaml", StudentRun, everything),
        (finetune, teacher_configuration, TeacherRun, {"adversarial": "0.5", "loop.epochs": "1"}),
        (pretrain, tmp_path / "pretrain.yaml", PretrainRun, {}),
    )
    for train, path, kind, settings in commands:
        weights = []
        for ahead, stops in (("0", []), ("3", []), ("2", [1, 3])):
            run = tmp_path / f"{train.__name__}-{ahead}"
            config = read_config(path, kind, settings | {"loop.prefetch": ahead})
            for steps in stops:
                train(config, run, max_steps=steps)
            train(config, run)
            weights.append((run / "best" / "model.safetensors").read_bytes())
        assert weights[0] == weights[1] == weights[2], train.__name__
