"""The sweep reads and writes every setting that affects speed, and nothing else of a configuration."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from server_under_test import REPOSITORY, ROOT

pytest.importorskip("tritonclient.grpc")
pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from google.protobuf import text_format
from settings import FILES, SETTINGS, STUDENT, SettingError, check, current_values, read_files, with_value
from sweep import Figures, choose
from sweep_document import BEGIN, END, DocumentError, with_tables, write_choices
from tritonclient.grpc import model_config_pb2

LIMITS = {"lexicon_directory", "max_lexicon_entries", "max_lexicon_bytes", "max_lexicon_word_length"}
"""Parameters that set what is accepted, not how fast."""


def parsed(text):
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_value_is_written_read_back_and_undone(setting):
    texts = read_files(REPOSITORY)
    before = setting.read(texts[setting.file])
    for value in setting.values:
        changed = with_value(texts, setting, value)
        assert setting.read(changed[setting.file]) == value
        restored = with_value(changed, setting, before)
        assert parsed(restored[setting.file]) == parsed(texts[setting.file])
        assert restored[setting.file].count("#") == texts[setting.file].count("#")


def test_every_setting_that_affects_speed_is_swept():
    swept = {(setting.file, re.split(r"[ ,]", setting.name)[0]) for setting in SETTINGS}
    for file, text in read_files(REPOSITORY).items():
        config = parsed(text)
        assert {(file, "max_batch_size"), (file, "queue"), (file, "preferred"), (file, "instances")} <= swept
        assert len(config.instance_group) == 1
        for parameter in set(config.parameters) - LIMITS - {"intra_op_threads"}:
            assert (file, parameter) in swept
        if any(entry.allow_ragged_batch for entry in config.input):
            assert (file, "allow_ragged_batch") in swept
        if config.model_warmup:
            assert (file, "model_warmup") in swept


def test_a_configuration_of_another_form_is_refused_by_name():
    texts = read_files(REPOSITORY)
    texts[STUDENT] = texts[STUDENT].replace("max_batch_size", "largest")
    with pytest.raises(SettingError, match=r"student/configs/cpu.pbtxt, max_batch_size"):
        current_values(texts)
    with pytest.raises(SettingError, match=r"cpu\.pbtxt"):
        check(STUDENT, texts[STUDENT])


def figures(rates, latencies, errors=0):
    middle = sorted(rates)[len(rates) // 2], sorted(latencies)[len(latencies) // 2]
    return Figures(middle[0], 50.0, middle[1], 5.0, 3.0, errors, tuple(rates), tuple(latencies))


BASE = figures([1000.0, 1010.0, 990.0], [2.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("other", "chosen"),
    [
        (figures([1100.0, 1110.0, 1090.0], [2.0, 2.0, 2.0]), "other"),
        (figures([1010.0, 1020.0, 1000.0], [2.0, 2.0, 2.0]), "base"),
        (figures([1100.0, 1009.0, 1090.0], [2.0, 2.0, 2.0]), "base"),
        (figures([1100.0, 1110.0, 1090.0], [2.5, 2.5, 2.5]), "base"),
        (figures([1200.0, 1210.0, 1190.0], [2.15, 2.15, 2.15]), "other"),
        (figures([1080.0, 1090.0, 1070.0], [2.15, 2.15, 2.15]), "base"),
        (figures([1000.0, 1010.0, 990.0], [1.5, 1.5, 1.5]), "other"),
        (figures([900.0, 910.0, 890.0], [1.5, 1.5, 1.5]), "base"),
        (figures([1100.0, 1110.0, 1090.0], [2.0, 2.0, 2.0], errors=1), "base"),
    ],
    ids=[
        "faster",
        "hardly faster",
        "not in every round",
        "but slower alone",
        "much faster for a little",
        "faster, not worth it",
        "quicker",
        "but fewer",
        "but with errors",
    ],
)
def test_a_value_is_chosen_only_for_a_gain_that_holds(other, chosen):
    assert choose("base", {"base": BASE, "other": other}) == chosen


SWEEP = {
    "machine": {
        "processor": "P",
        "cores": "2",
        "memory": "8 GiB",
        "system": "S",
        "versions": "V",
        "load before": "0.1",
    },
    "rounds": 3,
    "seconds": 5.0,
    "saturation_users": 8,
    "saturation": [{"users": 1, "texts_per_s": 500.0, "p50_ms": 1.5, "p95_ms": 9.0, "p99_ms": 12.0}],
    "trials": [
        {
            "setting": "decode: instances",
            "in_use": "1",
            "chosen": "2",
            "figures": {
                value: {
                    "texts_per_s": 1.0,
                    "p95_ms": 2.0,
                    "single_p50_ms": 3.0,
                    "single_p99_ms": 4.0,
                    "first_request_ms": 5.0,
                }
                for value in ("1", "2")
            },
        }
    ],
    "values": {"decode: instances": "2"},
    "times": {
        "1 user": [
            {"model": "decode", "batch": 1.0, "queue_ms": 0.1, "input_ms": 0.1, "infer_ms": 0.2, "output_ms": 0.3},
        ]
    },
}


def test_what_was_chosen_is_written_into_configurations_and_document(tmp_path):
    for folder in ("model_repository", "teacher_repository"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.onnx", "__pycache__"))
    (tmp_path / "docs").mkdir()
    document = tmp_path / "docs" / "serving.md"
    document.write_text(f"before\n{BEGIN}\nstale tables\n{END}\nafter\n", encoding="utf-8")
    written = {path.relative_to(tmp_path).as_posix() for path in write_choices(json.loads(json.dumps(SWEEP)), tmp_path)}
    assert written == {
        "model_repository/decode/config.pbtxt",
        "teacher_repository/decode_teacher/config.pbtxt",
        "docs/serving.md",
    }
    assert current_values(read_files(tmp_path / "model_repository"))["decode: instances"] == "2"
    content = document.read_text(encoding="utf-8")
    assert content.startswith(f"before\n{BEGIN}\n")
    assert content.endswith(f"{END}\nafter\n")
    assert "| decode: instances | **2** |" in content
    assert "stale tables" not in content


def test_a_document_without_markers_is_refused():
    with pytest.raises(DocumentError, match="must hold one line"):
        with_tables("no markers", SWEEP)


def test_student_and_teacher_are_served_with_the_same_settings():
    from settings import FOLLOWERS

    for file, follower in FOLLOWERS.items():
        theirs = (ROOT / "teacher_repository" / follower).read_text(encoding="utf-8")
        for setting in SETTINGS:
            if setting.file == file:
                assert setting.read(theirs) == setting.read(read_files(REPOSITORY)[file]), setting.key
    assert set(FOLLOWERS) < set(FILES)


def test_the_serving_document_has_a_place_for_the_tables():
    with_tables((ROOT / "docs" / "serving.md").read_text(encoding="utf-8"), SWEEP)
