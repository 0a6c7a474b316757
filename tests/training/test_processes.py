"""Several processes train as one that accumulates over as many batches."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("accelerate", reason="needs accelerate")
pytest.importorskip("torch.distributed", reason="needs torch with distributed training")

pytestmark = pytest.mark.training

TRAIN = """
import sys
from pathlib import Path
import torch
from distillex_training.config import StudentRun, read_config
from distillex_training.distill import distill
torch.set_num_threads(1)
settings = dict(setting.split("=", 1) for setting in sys.argv[4:])
steps = int(sys.argv[3]) or None
distill(read_config(Path(sys.argv[1]), StudentRun, settings), Path(sys.argv[2]), max_steps=steps)
"""
SETTINGS = ("student.dropout=0.0", "student.word_dropout=0.0", "loop.epochs=2", "loop.batch_size=8")


def read_metrics(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "loss")} for line in lines]


def train(processes, config, run, *settings, steps=0):
    script = run.parent / "train.py"
    script.write_text(TRAIN, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    arguments = [str(script), str(config), str(run), str(steps), *SETTINGS, *settings]
    for _ in range(2):
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=300)
        # PyTorch's own threads abort a process that has done its work and exits, now and then.
        if "terminate called without an active exception" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.nightly
def test_two_processes_train_like_one_that_accumulates_and_resume(toy, tmp_path):
    from distillex_training.models import load_model

    config = toy / "student.yaml"
    train(1, config, tmp_path / "one", "loop.accumulate=2")
    train(2, config, tmp_path / "two", steps=4)
    train(2, config, tmp_path / "two")
    assert [row["step"] for row in read_metrics(tmp_path / "two")] == [6, 12]
    assert read_metrics(tmp_path / "two") == [
        {name: pytest.approx(value, abs=0.02) for name, value in row.items()} for row in read_metrics(tmp_path / "one")
    ]
    one, two = (load_model(tmp_path / name / "best")[0].state_dict() for name in ("one", "two"))
    # Sums are taken in another order, and Adam's first steps make much of little: near, not equal.
    for name, tensor in one.items():
        assert (tensor - two[name]).abs().float().mean() < 2e-3, name
