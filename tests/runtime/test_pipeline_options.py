"""How a pipeline divides texts into runs of its network."""

from __future__ import annotations

import pytest
from distillex.device import CPU, Device
from distillex.models import find_model
from distillex.pipeline import Pipeline, PipelineOptions

TEXTS = [f"{number + 10}号线昨天在上海开通。".encode() for number in range(16)]


@pytest.mark.parametrize(("least", "divided"), [(0, True), (2048, False)])
def test_few_texts_are_divided_among_threads_where_a_run_costs_little(monkeypatch, least, divided):
    pipeline = Pipeline(find_model("cluener"), options=PipelineOptions(threads=4, least_tokens_per_run=least))
    run, shapes = pipeline._network.run, []
    monkeypatch.setattr(pipeline._network, "run", lambda ids, *others: shapes.append(ids.shape) or run(ids, *others))
    pipeline.answer(TEXTS)
    assert (len(shapes) > 1) == divided
    assert sum(rows for rows, _ in shapes) == len(TEXTS)


def test_a_gpu_is_given_larger_runs_than_a_cpu():
    cpu, gpu = PipelineOptions.of(CPU, 8), PipelineOptions.of(Device(0), 8)
    assert cpu == PipelineOptions(8)
    assert gpu.threads == 8
    assert gpu.most_tokens_per_run > cpu.most_tokens_per_run
    assert gpu.call_cost_tokens > cpu.call_cost_tokens
    assert gpu.least_tokens_per_run > cpu.least_tokens_per_run == 0


def test_an_option_that_cannot_be_used_is_named():
    with pytest.raises(ValueError, match="least_tokens_per_run -1: a whole number from 0 on is accepted"):
        PipelineOptions(least_tokens_per_run=-1)
