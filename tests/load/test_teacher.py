"""The teacher is served beside the student where it is given, and nowhere else."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("tritonclient.grpc")
import tritonclient.grpc as triton
from distillex_client import Extractor
from distillex_serving.embedded import EMBEDDED_LAYOUTS, EmbeddedServer
from distillex_serving.errors import PreconditionError, ServerError
from distillex_serving.repository import Layout
from server_under_test import server_options

pytestmark = pytest.mark.server
TEXT = "张三毕业于北京大学，后来在中国人民银行担任行长。"


# Of the layout gpu, which needs networks of its own, tests/training/test_gpu_network.py.
@pytest.fixture(
    scope="module",
    params=[layout for layout in EMBEDDED_LAYOUTS if layout is not Layout.GPU],
    ids=lambda layout: layout.value,
)
def with_teacher(request, tiny_teacher, lexicon_directory):
    options = server_options(lexicon_directory, teacher=tiny_teacher, layout=request.param)
    with EmbeddedServer(options) as running:
        yield running


def test_teacher_and_student_answer_the_same_requests(with_teacher, server):
    with (
        Extractor(with_teacher.grpc_url) as student,
        Extractor(with_teacher.grpc_url, model="extractor_teacher") as teacher,
        Extractor(server.grpc_url) as alone,
    ):
        assert student.extract(TEXT) == alone.extract(TEXT)
        # Random weights find something or nothing; what they find lies in the text.
        for entity in teacher.extract(TEXT * 5):
            assert (TEXT * 5)[entity.start : entity.end] == entity.text
        assert len(teacher.extract_batch([TEXT, "张", TEXT * 20])) == 3


def test_a_text_s_result_does_not_depend_on_its_company(with_teacher):
    company = ["张", TEXT, TEXT * 4, TEXT * 20, "李四去上海。"] * 8
    for model in ("extractor", "extractor_teacher"):
        with Extractor(with_teacher.grpc_url, model=model) as extractor:
            alone = [extractor.extract(text) for text in company[:5]]
            together = extractor.extract_batch(company)
        for found, expected in zip(together, alone * 8, strict=True):
            assert [(e.start, e.end, e.type) for e in found] == [(e.start, e.end, e.type) for e in expected]
            assert [e.score for e in found] == pytest.approx([e.score for e in expected], abs=2e-4)


def test_a_server_without_a_teacher_does_not_know_it(server):
    client = triton.InferenceServerClient(server.grpc_url)
    assert client.is_model_ready("extractor")
    assert not client.is_model_ready("extractor_teacher")
    client.close()


def test_a_folder_without_a_teacher_is_named(tmp_path, lexicon_directory):
    server = EmbeddedServer(server_options(lexicon_directory, teacher=tmp_path))
    with pytest.raises(PreconditionError, match=rf"{tmp_path}.*model.onnx: missing; 'distillex export"):
        server.start()


def test_a_teacher_whose_files_are_of_two_models_is_refused(tiny_teacher, tmp_path, lexicon_directory):
    other = tmp_path / "teacher"
    shutil.copytree(tiny_teacher, other)
    features = other / "features.json"
    content = json.loads(features.read_text(encoding="utf-8")) | {"word_hash_size": 64}
    features.write_text(json.dumps(content), encoding="utf-8")
    server = EmbeddedServer(server_options(lexicon_directory, teacher=other))
    with pytest.raises(ServerError, match=r"made for word_hash_size 32768; .*features.json has 64"):
        server.start()
