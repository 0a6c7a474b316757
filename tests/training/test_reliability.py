"""How often entities of a score are right, against sums by hand."""

import math

import pytest
from distillex_training.reliability import Reliability, draw_reliability

SCORES = [0.05, 0.92, 0.98, 1.0, 0.61, 0.69, 0.6]
RIGHT = [False, True, True, False, True, False, False]


def test_the_calibration_error_is_the_mean_gap_of_the_bins_by_their_counts():
    reliability = Reliability(SCORES, RIGHT)
    gaps = [abs(0.05 - 0) * 1, abs(0.92 + 0.98 + 1.0 - 2), abs(0.61 + 0.69 + 0.6 - 1)]
    assert reliability.calibration_error == pytest.approx(sum(gaps) / 7)
    assert reliability.mean_score == pytest.approx(sum(SCORES) / 7)
    assert reliability.precision == pytest.approx(3 / 7)
    assert [each.count for each in reliability.bins] == [1, 0, 0, 0, 0, 0, 3, 0, 0, 3]
    last = reliability.bins[-1]
    assert (last.low, last.high, last.precision) == (0.9, 1.0, pytest.approx(2 / 3))
    assert last.mean_score == pytest.approx(2.9 / 3)


def test_scores_that_say_how_often_they_are_right_have_no_error():
    assert Reliability([0.75] * 4, [True, True, True, False]).calibration_error == 0.0


def test_the_log_loss_is_that_of_being_right_or_not():
    loss = Reliability([0.8, 0.6], [True, False]).log_loss
    assert loss == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    assert 10 < Reliability([1.0], [False]).log_loss < 20
    assert 10 < Reliability([0.0], [True]).log_loss < 30


def test_without_an_entity_all_is_nothing():
    nothing = Reliability([], [])
    figures = (nothing.mean_score, nothing.precision, nothing.calibration_error, nothing.log_loss)
    assert figures == (0.0, 0.0, 0.0, 0.0)
    assert not any(each.count for each in nothing.bins)


@pytest.mark.parametrize(("name", "beginning"), [("a.svg", b"<?xml"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")])
@pytest.mark.parametrize("scores", [SCORES, []])
def test_a_diagram_is_drawn_in_the_format_of_its_name(tmp_path, name, beginning, scores):
    draw_reliability(Reliability(scores, RIGHT[: len(scores)]), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(beginning)


def test_a_full_diagram_is_small_enough_to_lie_beside_a_model(tmp_path):
    draw_reliability(
        Reliability([each / 100 for each in range(100)] * 9, [True, False, True] * 300), tmp_path / "a.svg"
    )
    assert (tmp_path / "a.svg").stat().st_size < 40_000
