"""Teachers as ONNX: dynamic batch and length, parity, and the files that serving reads."""

import dataclasses

import numpy as np
import pytest
import torch
from distillex_matcher import CrfParameters, FeatureLayout
from distillex_matcher.exported import ExportedFiles
from distillex_training.export.folder import export_folder
from distillex_training.export.onnx import INPUT_NAMES, export_onnx, open_session, random_inputs
from distillex_training.export.options import Int8
from distillex_training.models import ConstrainedCrf, Teacher, TeacherConfig, save_model

pytest.importorskip("transformers", reason="needs transformers")

pytestmark = pytest.mark.training

LAYOUT = FeatureLayout(
    vocabulary=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁", *"甲乙丙丁戊己庚辛"),
    types=("n", "name", "org"),
    word_hash_size=64,
)


@pytest.fixture(scope="module", params=["albert", "bert"])
def teacher(request, tmp_path_factory):
    torch.manual_seed(0)
    encoder = {
        "model_type": request.param,
        "vocab_size": len(LAYOUT.vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
    } | ({"embedding_size": 16} if request.param == "albert" else {})
    config = TeacherConfig(len(LAYOUT.vocabulary), len(LAYOUT.types), 64, ("name", "org"), encoder, lexicon_width=16)
    directory = tmp_path_factory.mktemp(request.param)
    model, crf = Teacher(config).eval(), ConstrainedCrf(("name", "org"))
    save_model(directory, model, crf, LAYOUT)
    return directory, model, crf


def test_an_encoder_of_few_positions_is_refused(teacher, tmp_path):
    _, model, _ = teacher
    sizes = model.config.encoder_config | {"max_position_embeddings": 64}
    short = Teacher(dataclasses.replace(model.config, encoder_config=sizes))
    with pytest.raises(ValueError, match=r"the encoder reads 64 tokens; served are up to 512"):
        export_onnx(short, LAYOUT, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_teachers_folder_holds_network_layout_and_crf_and_agrees_with_pytorch(teacher, tmp_path):
    directory, model, crf = teacher
    written = export_folder(directory, tmp_path, int8=Int8.TABLES)
    assert all(path.is_file() for path in written)
    assert FeatureLayout.load(tmp_path) == LAYOUT
    assert CrfParameters.load(tmp_path / "crf.json") == crf.parameters_for_serving()
    files = ExportedFiles.beside(tmp_path / "model.onnx")
    assert (files.layout, files.crf) == (LAYOUT, crf.parameters_for_serving())
    session = open_session(tmp_path / "model.onnx", threads=1)
    for batch, tokens in ((1, 3), (5, 17), (2, 500)):
        inputs = random_inputs(LAYOUT, batch, tokens, seed=9)
        with torch.no_grad():
            expected = model(*inputs).numpy()
        found = session.run(None, {n: t.numpy() for n, t in zip(INPUT_NAMES, inputs, strict=True)})[0]
        real = inputs[0].numpy() != 0
        np.testing.assert_allclose(found[real], expected[real], atol=1e-4)
