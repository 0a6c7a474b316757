"""Time left that is right: with accumulation, resumption, unequal epochs and batches; and a log of whole lines."""

import logging
import os
import pty
import random
import re
import subprocess
import sys

import pytest
from distillex_client.durations import duration
from distillex_training import progress as shown
from distillex_training.config import LoopConfig
from distillex_training.progress import Meter, Pace, TrainingProgress
from distillex_training.task import BatchSize

pytestmark = pytest.mark.training

SECONDS_A_CHARACTER = 0.003


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def epoch_of(batches, seed):
    """Batches of short and of long sentences, in no order."""
    generator = random.Random(seed)
    lengths = (generator.choice((8, 30, 90, 300)) for _ in range(batches))
    return [BatchSize(count, count * length) for length in lengths for count in [min(32, max(1, 4096 // length))]]


def simulated(config, epochs, together, *, evaluation_s=0.0, begin=(0, 0)):
    """Train on a clock; returns, for each step, what was said to be left of epoch and run, and what was."""
    clock = Clock()
    progress = TrainingProgress(config, together, silent=True, clock=clock)
    said, ends = [], {}
    first_epoch, first_batch = begin
    step = sum(-(-len(sizes) // together) for sizes in epochs[:first_epoch]) + first_batch // together
    for epoch, sizes in enumerate(epochs[first_epoch:], first_epoch):
        done = first_batch if epoch == first_epoch else 0
        with progress.of_epoch(epoch, sizes, done):
            for place in range(done, len(sizes), together):
                batches = sizes[place : place + together]
                clock.now += SECONDS_A_CHARACTER * sum(size.characters for size in batches)
                step += 1
                progress.step(place + len(batches), step, 0.5)
                said.append((epoch, clock.now, *progress.seconds_left(step)))
                if config.steps and step == config.steps:
                    break
        ends[epoch] = clock.now
        clock.now += evaluation_s
        progress.evaluated(evaluation_s)
        if config.steps and step == config.steps:
            break
    return [(of_epoch, ends[epoch] - at, of_run, clock.now - at) for epoch, at, of_epoch, of_run in said]


def test_the_time_left_is_right_from_the_first_step_where_batches_are_unequal_and_accumulated():
    sizes = epoch_of(102, 1)  # the last step has two batches of four
    for of_epoch, epoch_was, of_run, run_was in simulated(LoopConfig(epochs=3, accumulate=4), [sizes] * 3, 4):
        assert of_epoch == pytest.approx(epoch_was, abs=1e-6)
        assert of_run == pytest.approx(run_was, abs=1e-6)


def test_the_time_left_of_batches_sorted_by_length_is_not_that_of_as_many_short_ones():
    sizes = sorted(epoch_of(100, 1), key=lambda size: size.characters / size.sentences)
    halfway = simulated(LoopConfig(epochs=1), [sizes], 1)[49]
    assert halfway[0] == pytest.approx(halfway[1], abs=1e-6)


def test_a_resumed_run_takes_no_time_for_what_was_done_before():
    sizes = epoch_of(80, 2)
    for left in simulated(LoopConfig(epochs=4), [sizes] * 4, 2, begin=(2, 40)):
        assert left[2] == pytest.approx(left[3], abs=1e-6)


def test_epochs_to_come_are_taken_to_be_as_long_as_those_that_were_seen():
    short, long = epoch_of(40, 3), epoch_of(120, 4)
    left = simulated(LoopConfig(epochs=4), [short, long, short, long], 1)
    mean = SECONDS_A_CHARACTER * sum(size.characters for size in (*short, *long)) / 2
    in_second = left[40 + 60]
    assert in_second[0] == pytest.approx(in_second[1], abs=1e-6)
    assert in_second[2] == pytest.approx(in_second[1] + 2 * mean, rel=1e-6)
    assert left[-1][2] == pytest.approx(left[-1][3], abs=1e-6)


def test_evaluations_count_once_their_time_is_known():
    sizes = epoch_of(50, 5)
    left = simulated(LoopConfig(epochs=3), [sizes] * 3, 1, evaluation_s=40.0)
    assert left[10][2] == pytest.approx(left[10][3] - 3 * 40.0, abs=1e-6)
    for each in left[50:]:
        assert each[2] == pytest.approx(each[3], abs=1e-6)


@pytest.mark.parametrize("steps", [60, 75, 100, 120])
def test_a_run_of_so_many_steps_ends_within_an_epoch(steps):
    epochs = [[BatchSize(8, 400)] * 50 for _ in range(3)]
    left = simulated(LoopConfig(steps=steps), epochs, 1, evaluation_s=5.0)
    assert len(left) == steps
    for each in left[50:]:
        assert each[2] == pytest.approx(each[3], abs=1e-6)


def test_speed_follows_the_last_steps():
    clock = Clock()
    pace = Pace(clock)
    assert pace.seconds_for(10) is None
    for seconds in (9.0, *[1.0] * 600):
        clock.now += seconds
        pace.done(BatchSize(4, 100))
    assert pace.sentences_per_second == pytest.approx(4, rel=0.01)
    clock.now += 500.0
    pace.go_on()
    assert pace.seconds_for(200) == pytest.approx(2, rel=0.01)


def test_a_time_reads_like_one():
    assert [duration(seconds) for seconds in (0.4, 59.6, 247, 3847)] == ["0:00", "1:00", "4:07", "1:04:07"]


def test_without_a_terminal_a_line_comes_every_half_minute(caplog, monkeypatch):
    monkeypatch.setattr(shown, "is_on_a_terminal", lambda: False)
    clock = Clock()
    with (
        caplog.at_level(logging.INFO, "distillex.training"),
        Meter("labelling", 4000, "texts", 500, clock=clock) as meter,
    ):
        for done in range(600, 1600, 100):
            clock.now += 10.0
            meter.show(done, "1:05 left")
    assert [record.getMessage() for record in caplog.records] == [
        f"labelling: {done} of 4,000 texts, 1:05 left" for done in ("800", "1,100", "1,400")
    ]


TRAIN = """
import sys
from distillex_training import progress
progress.LINE_EVERY_S = 0.0
from distillex.command.main import application
application(sys.argv[1:])
"""


def train(toy, run, **streams):
    arguments = ["distill", str(toy / "student.yaml"), "-o", str(run), "--set", "loop.epochs=2", "--threads", "1"]
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *arguments], env=environment | {"TERM": "xterm", "COLUMNS": "80"}, **streams
    )


def test_a_redirected_log_has_whole_dated_lines_and_standard_output_the_outcome_alone(toy, tmp_path):
    with (
        (tmp_path / "log").open("wb") as log,
        train(toy, tmp_path / "run", stdout=subprocess.PIPE, stderr=log) as process,
    ):
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    assert re.fullmatch(r"best development F1 0\.\d+; model in \S+/run/best\n", output.decode())
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    dated = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (INFO|WARNING) \S")
    assert [line for line in lines if not dated.match(line)] == []
    told = [line for line in lines if " batches, " in line]
    assert len(told) == 12
    time_left, figures = r"\d+:\d\d left, \d+:\d\d of the run", r"step 9, loss \d\.\d{4}, [\d,]+ sentences/s"
    assert re.search(rf"INFO epoch 2/2: 3 of 6 batches, {time_left}, {figures}$", told[8])
    assert max(map(len, lines)) > 80


def test_on_a_terminal_a_bar_is_drawn_and_no_line_of_the_log_cuts_it(toy, tmp_path):
    ours, theirs = pty.openpty()
    with train(toy, tmp_path / "run", stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 1 << 16):
                seen += piece
        except OSError:  # the other side is closed
            pass
        process.communicate(timeout=600)
    os.close(ours)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert "━" in text
    assert re.search(r"epoch 2/2 ━+.* \d/6 ", text)
    assert "epoch 2, step 12" in text
