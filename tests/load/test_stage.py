"""One stage of load: which calls count, failures, growth of memory."""

from __future__ import annotations

import pytest

pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from soak import Memory
from stage import Stage, StageError, read_record

STAGE = Stage("extractor", users=2, seconds=10.0, settle_s=1.0)
RECORD = [
    "100.5,single,1,1.0,",
    "100.0,#start,0,0,",
    "100.9,single,1,99.0,",
    "101.5,single,1,2.0,",
    "103.0,batch,8,6.0,",
    "104.0,single,1,4.0,",
    "104.5,single,1,30000,the server is gone; code 14",
    "111.0,#stop,0,0,",
    "111.2,document,40,500.0,",
]


def test_calls_count_that_ended_between_settling_and_the_stop():
    result = read_record(RECORD, STAGE)
    assert (result.calls, result.texts, result.seconds) == (3, 10, 10.0)
    assert (result.calls_per_s, result.texts_per_s) == (pytest.approx(0.3), pytest.approx(1.0))
    assert (result.percentile(50), result.percentile(50, "single")) == (4.0, 3.0)


def test_every_failure_counts_and_is_told():
    result = read_record(RECORD, STAGE)
    assert result.errors == 1
    assert result.error_messages == {"the server is gone; code 14": 1}
    assert result.summary()["errors"] == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [(RECORD[:-2], "cut short"), (["100.0,#start,0,0,", "111.0,#stop,0,0,"], "no call ended")],
    ids=["without an end", "without calls"],
)
def test_a_stage_that_says_nothing_is_an_error(lines, message):
    with pytest.raises(StageError, match=message):
        read_record(lines, STAGE)


def test_growth_is_what_comes_after_the_pools_are_full():
    minutes = [float(minute) for minute in range(20)]
    level = Memory("stub", minutes, [10.0, 40.0, 80.0, 100.0] + [100.0] * 16)
    assert level.growth_mib == 0.0
    leaking = Memory("stub", minutes, [100.0 + 2 * minute for minute in range(20)])
    assert leaking.growth_mib == pytest.approx(24.0, abs=1)
