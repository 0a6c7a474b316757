"""The served path finds what the PyTorch student with pytorch-crf finds."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
pytest.importorskip("tritonclient.grpc")
import torch
from distillex_client import Extractor
from distillex_matcher import Lexicon
from distillex_matcher.reference import keep_to_edges
from distillex_serving.embedded import EmbeddedServer
from distillex_training.data.labelled import Sentence, read_labelled
from distillex_training.evaluate import gold_spans, score
from distillex_training.export.folder import export_folder
from distillex_training.export.options import Int8
from distillex_training.models import load_model
from server_under_test import ROOT, server_options, why_no_server

pytestmark = [pytest.mark.training, pytest.mark.server]

MODEL = ROOT / "models" / "student-cluener"
DEV = ROOT.parent / "shared" / "data" / "labelled" / "cluener" / "dev.jsonl"


def sentences_to_compare():
    """All development sentences, or the sentences of the shipped document."""
    if DEV.exists():
        return read_labelled(DEV)[0]
    text = (ROOT / "examples" / "news.txt").read_text(encoding="utf-8")
    return [Sentence(piece, ()) for piece in re.findall(r"[^。\n]+。?", text) if piece.strip()]


@pytest.fixture(scope="module")
def pytorch_spans():
    model, crf, layout = load_model(MODEL)
    featurizer = layout.featurizer(Lexicon.load(ROOT / "lexicons" / "base" / "1.lex"))
    spans = []
    for sentence in sentences_to_compare():
        features = featurizer.featurize([sentence.text])
        inputs = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
        with torch.no_grad():
            emissions = model(*map(torch.from_numpy, inputs))[:, 1 : 1 + len(sentence.text)]
        whole = torch.ones(emissions.shape[:2], dtype=torch.bool)

        def best(scores, whole=whole):
            (path,) = crf.decode(torch.from_numpy(scores)[None], whole)
            return crf.scheme.decode(path)

        spans.append(keep_to_edges(crf.scheme, emissions[0].numpy(), sentence.text, best)[1])
    return spans


def served_spans(grpc_url, count=None):
    with Extractor(grpc_url) as extractor:
        found = extractor.extract_batch(sentence.text for sentence in sentences_to_compare()[:count])
    return [[(e.start, e.end, e.type) for e in entities] for entities in found]


def test_float32_gives_identical_spans(pytorch_spans, tmp_path):
    if reason := why_no_server():
        pytest.skip(reason)
    export_folder(MODEL, tmp_path, int8=Int8.NONE)
    with EmbeddedServer(server_options(student=tmp_path)) as server:
        assert served_spans(server.grpc_url, 200) == pytorch_spans[:200]
    assert sum(map(len, pytorch_spans)) > 100


def test_the_shipped_int8_file_scores_like_float32(server, pytorch_spans):
    if not DEV.exists():
        pytest.skip("needs labelled sentences in ../shared/data/labelled/cluener")
    # All 1,000 sentences: on 200 of them a single span moves F1 by more than 0.001.
    gold = gold_spans(sentences_to_compare())
    float32 = score(gold, pytorch_spans).micro.f1
    assert score(gold, served_spans(server.grpc_url)).micro.f1 == pytest.approx(float32, abs=0.003)


def test_the_shipped_weights_are_small():
    assert (MODEL / "model.onnx").stat().st_size <= 10_000_000  # a tenth of the teacher's
    assert (MODEL / "model.safetensors").stat().st_size <= 15_000_000  # float16, to train on from; not served
