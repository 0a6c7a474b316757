"""CRF decoding against the float64 reference, brute force and pytorch-crf."""

import itertools
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from distillex_matcher import CrfDecoder, LabelScheme
from distillex_matcher.reference import best_path, best_paths, marginals, span_probability
from hypothesis import given, settings
from hypothesis import strategies as st

TYPES = ("company", "name")


def random_crf(generator, types=TYPES, scale=1.0):
    scheme = LabelScheme(types)
    n = len(scheme)
    scores = [(generator.normal(size=shape) * scale).astype(np.float32) for shape in ((n, n), n, n)]
    return scheme, scores, CrfDecoder(scheme, *scores)


def padded(rows, tokens=None):
    """Emissions of characters → a batch as the student gives it, with noise where [CLS], [SEP] and padding are."""
    tokens = tokens or max(map(len, rows)) + 2
    batch = np.full((len(rows), tokens, rows[0].shape[1]), 77.0, dtype=np.float32)
    for i, row in enumerate(rows):
        batch[i, 1 : 1 + len(row)] = row
    return batch, np.array([[len(row) + 2] for row in rows], dtype=np.int32)


@given(
    st.integers(0, 2**32 - 1), st.lists(st.integers(1, 40), min_size=1, max_size=4), st.sampled_from([0.5, 3.0, 20.0])
)
@settings(max_examples=120, deadline=None)
def test_best_paths_and_posteriors_are_those_of_the_float64_reference(seed, lengths, scale):
    generator = np.random.default_rng(seed)
    scheme, scores, decoder = random_crf(generator)
    rows = [(generator.normal(size=(n, len(scheme))) * scale).astype(np.float32) for n in lengths]
    batch, sizes = padded(rows)
    found = decoder.marginals(batch, sizes)
    spans = decoder.decode(batch, sizes)
    for i, row in enumerate(rows):
        path = best_path(scheme, *scores, row)
        assert decoder.viterbi(batch, sizes)[i].tolist() == path
        np.testing.assert_allclose(found[i, 1 : 1 + len(row)], marginals(scheme, *scores, row), atol=1e-5)
        assert not found[i, 1 + len(row) :].any()
        expected = scheme.decode(path)
        mine = [k for k in range(len(spans.row)) if spans.row[k] == i]
        assert [(spans.start[k], spans.end[k], TYPES[spans.type[k]]) for k in mine] == expected
        for k, span in zip(mine, expected, strict=True):
            assert spans.score[k] == pytest.approx(span_probability(scheme, *scores, row, span), abs=1e-5)


def scores_of_all_paths(scheme, transitions, start, end, row):
    """Path → score, of all paths that keep the scheme."""
    scores = {}
    for path in itertools.product(range(len(scheme)), repeat=len(row)):
        try:
            scheme.decode(path)
        except ValueError:
            continue
        score = float(start[path[0]] + end[path[-1]] + sum(row[t, label] for t, label in enumerate(path)))
        scores[path] = score + sum(float(transitions[a, b]) for a, b in itertools.pairwise(path))
    return scores


def test_brute_force_over_all_paths_agrees():
    generator = np.random.default_rng(3)
    scheme, (transitions, start, end), decoder = random_crf(generator, ("a",))
    row = generator.normal(size=(4, 5)).astype(np.float32)
    totals = {
        path: (score, scheme.decode(path))
        for path, score in scores_of_all_paths(scheme, transitions, start, end, row).items()
    }
    partition = sum(np.exp(score) for score, _ in totals.values())
    batch, sizes = padded([row])
    best = max(totals, key=lambda path: totals[path][0])
    assert decoder.viterbi(batch, sizes)[0].tolist() == list(best)
    for start_, end_, kind, score in zip(*decoder.decode(batch, sizes)[1:], strict=True):
        expected = sum(np.exp(s) for s, spans in totals.values() if (start_, end_, ("a",)[kind]) in spans) / partition
        assert score == pytest.approx(expected, abs=1e-6)
    ranked = sorted(totals, key=lambda path: -totals[path][0])[:7]
    paths = decoder.best_paths(batch, sizes, 7)[0]
    assert [labels.tolist() for labels, _ in paths] == [list(path) for path in ranked]
    assert [score for _, score in paths] == pytest.approx([totals[path][0] for path in ranked], abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([1, 2, 5, 40, 1000]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_k_best_paths_are_those_of_the_highest_scores_of_all(seed, length, k, with_ties):
    generator = np.random.default_rng(seed)
    scheme = LabelScheme(["a"])
    scores = [generator.normal(size=shape).astype(np.float32) for shape in ((5, 5), 5, 5, (length, 5))]
    if with_ties:
        scores = [np.round(each) for each in scores]
    transitions, start, end, row = scores
    totals = scores_of_all_paths(scheme, transitions, start, end, row)
    found = CrfDecoder(scheme, transitions, start, end).best_paths(*padded([row]), k)[0]
    paths = [tuple(labels.tolist()) for labels, _ in found]
    assert len(set(paths)) == len(paths) == min(k, len(totals))
    assert list(map(list, paths)) == best_paths(scheme, transitions, start, end, row, k)
    assert [score for _, score in found] == pytest.approx([totals[path] for path in paths], abs=1e-5)
    highest = sorted(totals.values(), reverse=True)[:k]
    assert [score for _, score in found] == pytest.approx(highest, abs=1e-5)


@pytest.mark.parametrize("crf_scale", [1.0, 80.0, 1e3])
@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4])
def test_posteriors_stay_exact_for_512_tokens_and_extreme_scores(scale, crf_scale):
    generator = np.random.default_rng(5)
    scheme, scores, decoder = random_crf(generator, scale=crf_scale)
    row = (generator.normal(size=(510, len(scheme))) * scale).astype(np.float32)
    batch, sizes = padded([row], 512)
    np.testing.assert_allclose(decoder.marginals(batch, sizes)[0, 1:511], marginals(scheme, *scores, row), atol=1e-5)
    assert decoder.viterbi(batch, sizes)[0].tolist() == best_path(scheme, *scores, row)


@pytest.mark.parametrize("characters", [255, 256, 257, 510])
@pytest.mark.parametrize("types", [1, 4, 8, 13])
def test_posteriors_stay_exact_where_labels_hardly_mix(types, characters):
    # Flat emissions under strong transitions: the worst case for rounding, which adds up along the row.
    generator = np.random.default_rng(types)
    scheme, scores, decoder = random_crf(generator, [f"type{i}" for i in range(types)], scale=3.0)
    row = (generator.normal(size=(characters, len(scheme))) * 0.01).astype(np.float32)
    batch, sizes = padded([row], 512)
    found = decoder.marginals(batch, sizes)[0, 1 : 1 + characters]
    np.testing.assert_allclose(found, marginals(scheme, *scores, row), atol=1e-5)
    assert decoder.viterbi(batch, sizes)[0].tolist() == best_path(scheme, *scores, row)


def test_scores_far_apart_cost_a_few_times_others():
    # By one logarithm a transition it was about a hundred times. Of processor time: other processes cost none.
    generator = np.random.default_rng(3)
    scheme, _, decoder = random_crf(generator, [f"type{i}" for i in range(10)])
    row = generator.normal(size=(510, len(scheme))).astype(np.float32)
    raised = row + 500 * (generator.random(row.shape) < 0.3).astype(np.float32)

    def seconds(emissions):
        batch, sizes = padded([emissions])
        taken = []
        for _ in range(5):
            began = time.process_time()
            decoder.marginals(batch, sizes)
            taken.append(time.process_time() - began)
        return min(taken)

    assert seconds(raised) < 15 * seconds(row)


def test_the_kernels_for_every_processor_give_what_the_fast_ones_give():
    script = """
import sys, numpy as np
from distillex_matcher import CrfDecoder, LabelScheme
generator = np.random.default_rng(4)
for types in (1, 2, 3, 7, 8, 12, 20):
    scheme = LabelScheme([f"type{i}" for i in range(types)])
    n = len(scheme)
    scores = [generator.normal(size=shape).astype(np.float32) for shape in ((n, n), n, n)]
    emissions = (generator.normal(size=(3, 40, n)) * 3).astype(np.float32)
    spans = CrfDecoder(scheme, *scores).decode(emissions, np.array([40, 17, 3], np.int32))
    np.savetxt(sys.stdout, np.stack([column.astype(float) for column in spans], axis=1), fmt="%.5f")
"""
    found = {}
    for kernels in ("", "portable"):
        environment = {**os.environ, "DISTILLEX_CRF_KERNELS": kernels}
        command = [sys.executable, "-c", script]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found[kernels] = np.loadtxt(run.stdout.splitlines())
    assert len(found[""]) > 50
    np.testing.assert_array_equal(found[""][:, :4], found["portable"][:, :4])
    np.testing.assert_allclose(found[""][:, 4], found["portable"][:, 4], atol=2e-5)


def test_a_path_that_recovers_from_an_underflow_keeps_its_probability():
    scheme = LabelScheme(["a"])
    zeros = np.zeros((5, 5), np.float32)
    decoder = CrfDecoder(scheme, zeros, zeros[0], zeros[0])
    row = np.zeros((40, 5), np.float32)
    # Inside labels fall e^760 behind and catch up: the one long span is about as likely as no span at all.
    row[1:, 1], row[:39, 3] = -3000, -3000
    row[0, 1] = 40 * np.log(2)
    row[1:20, 2], row[20:39, 2] = -40, 40
    expected = marginals(scheme, zeros, zeros[0], zeros[0], row)
    assert 0.01 < expected[10, 2] < 0.99
    batch, sizes = padded([row])
    np.testing.assert_allclose(decoder.marginals(batch, sizes)[0, 1:41], expected, atol=1e-5)


def test_spans_are_those_of_pytorch_crf_with_the_same_constraints():
    torch = pytest.importorskip("torch", reason="needs torch")
    torchcrf = pytest.importorskip("torchcrf", reason="needs pytorch-crf")
    generator = np.random.default_rng(7)
    scheme, (transitions, start, end), decoder = random_crf(generator, tuple("abcdefghij"))
    theirs = torchcrf.CRF(len(scheme), batch_first=True)
    with torch.no_grad():
        theirs.transitions.copy_(torch.from_numpy(np.where(scheme.allowed_transitions, transitions, -1e4)))
        theirs.start_transitions.copy_(torch.from_numpy(np.where(scheme.allowed_starts, start, -1e4)))
        theirs.end_transitions.copy_(torch.from_numpy(np.where(scheme.allowed_ends, end, -1e4)))
    rows = [generator.normal(size=(n, len(scheme))).astype(np.float32) * 3 for n in (1, 2, 17, 64, 300)]
    batch, sizes = padded(rows)
    mask = torch.arange(batch.shape[1] - 2)[None, :] < torch.from_numpy(sizes) - 2
    expected = theirs.decode(torch.from_numpy(batch[:, 1:-1].copy()), mask)
    assert [path.tolist() for path in decoder.viterbi(batch, sizes)] == expected


def test_ties_are_broken_towards_the_first_label():
    scheme = LabelScheme(["a"])
    decoder = CrfDecoder(scheme, np.zeros((5, 5), np.float32), np.zeros(5, np.float32), np.zeros(5, np.float32))
    batch, sizes = padded([np.zeros((6, 5), np.float32)])
    assert decoder.viterbi(batch, sizes)[0].tolist() == [0] * 6


def test_rows_without_characters_give_nothing():
    generator = np.random.default_rng(1)
    _, _, decoder = random_crf(generator)
    batch = np.zeros((3, 4, 9), np.float32)
    lengths = np.array([0, 1, 2], np.int32)
    assert decoder.decode(batch, lengths).row.size == 0
    assert decoder.entities_json(batch, lengths, [b"", b"", b""]) == [b"[]"] * 3
    assert not decoder.marginals(batch, lengths).any()


METHODS = {
    "decode": CrfDecoder.decode,
    "viterbi": CrfDecoder.viterbi,
    "marginals": CrfDecoder.marginals,
    "best_paths": lambda decoder, emissions, lengths: decoder.best_paths(emissions, lengths, 2),
    "entities_json": lambda decoder, emissions, lengths: decoder.entities_json(
        emissions, lengths, [b"x" * max(0, int(length) - 2) for length in lengths.ravel()]
    ),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


@every_method
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e7])
def test_scores_that_are_not_finite_are_refused_by_row(value, method):
    generator = np.random.default_rng(1)
    scheme, scores, decoder = random_crf(generator)
    batch, sizes = padded([np.zeros((3, 9), np.float32)] * 2)
    batch[1, 2, 0] = value
    with pytest.raises(ValueError, match="row 1: an emission score is not finite"):
        method(decoder, batch, sizes)
    batch[1, 2, 0] = 0
    batch[1, 0, 0] = value
    method(decoder, batch, sizes)
    scores[0][0, 0] = value
    with pytest.raises(ValueError, match="a CRF score is not finite"):
        CrfDecoder(scheme, *scores)


@every_method
def test_wrong_shapes_are_refused(method):
    _, _, decoder = random_crf(np.random.default_rng(1))
    with pytest.raises(ValueError, match="5 labels; this decoder has 9"):
        method(decoder, np.zeros((1, 4, 5), np.float32), np.array([4], np.int32))
    with pytest.raises(ValueError, match=r"row 0: length 5 is not in 0 .. 4"):
        method(decoder, np.zeros((1, 4, 9), np.float32), np.array([5], np.int32))
    with pytest.raises(ValueError, match=r"row 1: length -1 is not in 0 .. 4"):
        method(decoder, np.zeros((2, 4, 9), np.float32), np.array([4, -1], np.int32))
    with pytest.raises(ValueError, match="2 for 1 rows"):
        method(decoder, np.zeros((1, 4, 9), np.float32), np.array([4, 4], np.int32))
    with pytest.raises(ValueError, match=r"\[batch, tokens, labels\]"):
        method(decoder, np.zeros((4, 9), np.float32), np.array([4], np.int32))


def test_wrong_arguments_are_refused():
    _, scores, decoder = random_crf(np.random.default_rng(1))
    emissions, lengths = np.zeros((1, 4, 9), np.float32), np.array([4], np.int32)
    for k in (0, 1025):
        with pytest.raises(ValueError, match=rf"k is {k}; 1 .. 1024 is accepted"):
            decoder.best_paths(emissions, lengths, k)
    with pytest.raises(ValueError, match="texts must hold one text a row: 2 for 1 rows"):
        decoder.entities_json(emissions, lengths, [b"a", b"b"])
    with pytest.raises(TypeError, match="expected bytes, not str"):
        decoder.entities_json(emissions, lengths, ["ab"])
    with pytest.raises(ValueError, match="needs transitions"):
        CrfDecoder(LabelScheme(["a"]), *scores)


def test_json_writes_controls_and_quotes_as_json_must():
    scheme = LabelScheme(['a"\\'])
    decoder = CrfDecoder(scheme, *(np.zeros(shape, np.float32) for shape in ((5, 5), 5, 5)))
    text = "甲" + "".join(map(chr, range(1, 0x30))) + '"\\\x7f甲𠮷'
    row = np.zeros((len(text), 5), np.float32)
    row[0, 1] = row[1:-1, 2] = row[-1, 3] = 9
    (entity,) = json.loads(decoder.entities_json(*padded([row]), [text.encode()])[0])
    assert (entity["text"], entity["type"], entity["end"]) == (text, 'a"\\', len(text))


@given(st.text(min_size=1, max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_json_offsets_are_code_points_of_the_callers_own_text(text, seed):
    text = text.encode("utf-8", "replace").decode()
    generator = np.random.default_rng(seed)
    scheme, _, decoder = random_crf(generator)
    batch, sizes = padded([generator.normal(size=(len(text), len(scheme))).astype(np.float32) * 3])
    entities = json.loads(decoder.entities_json(batch, sizes, [text.encode()])[0])
    spans = decoder.decode(batch, sizes, [text])
    assert [(e["start"], e["end"]) for e in entities] == list(zip(spans.start, spans.end, strict=True))
    for entity in entities:
        assert set(entity) == {"start", "end", "type", "text", "score"}
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert 0 <= entity["score"] <= 1
