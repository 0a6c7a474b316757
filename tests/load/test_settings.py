"""The sweep reads and writes every setting that affects speed, and nothing else of the configuration."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from server_under_test import REPOSITORY, ROOT

pytest.importorskip("tritonclient.grpc")
pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from google.protobuf import text_format
from settings import CONFIGURATION, SETTINGS, SettingError, check, current_values, read_configuration, with_value
from sweep import Figures, choose, repository_with
from sweep_document import BEGIN, END, DocumentError, with_tables, write_choices
from tritonclient.grpc import model_config_pb2

LIMITS = {"lexicon_directory", "max_lexicon_entries", "max_lexicon_bytes", "max_lexicon_word_length"}
"""Parameters that set what is accepted, not how fast."""


def parsed(text):
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_value_is_written_read_back_and_undone(setting):
    text = read_configuration(REPOSITORY)
    before = setting.read(text)
    for value in setting.values:
        changed = with_value(text, setting, value)
        assert setting.read(changed) == value
        restored = with_value(changed, setting, before)
        assert parsed(restored) == parsed(text)
        assert restored.count("#") == text.count("#")


def test_every_setting_that_affects_speed_is_swept():
    swept = {re.split(r"[ ,]", setting.name)[0] for setting in SETTINGS}
    config = parsed(read_configuration(REPOSITORY))
    assert {"call_cost_tokens", "queue", "preferred", "instances", "model_warmup"} <= swept
    assert len(config.instance_group) == 1
    assert "instances x threads" in SETTINGS[0].name
    assert set(config.parameters) - LIMITS - {"threads"} <= swept


def test_a_configuration_of_another_form_is_refused_by_name():
    text = read_configuration(REPOSITORY).replace('key: "most_tokens_per_run"', 'kee: "most_tokens_per_run"')
    with pytest.raises(SettingError, match=r"extractor/configs/cpu.pbtxt, most_tokens_per_run"):
        current_values(text)
    with pytest.raises(SettingError, match=r"cpu\.pbtxt"):
        check(text)


def test_a_value_is_served_from_a_copy_of_the_configurations(tmp_path):
    before = read_configuration(REPOSITORY)
    text = with_value(before, SETTINGS[0], "1 x 1")
    changed = repository_with(text, tmp_path)
    assert read_configuration(changed) == text
    assert read_configuration(REPOSITORY) == before
    assert {path.name for path in changed.iterdir()} == {path.name for path in REPOSITORY.iterdir()}


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
        "vnni": "VNNI",
        "versions": "V",
        "load before": "0.1",
    },
    "rounds": 3,
    "seconds": 5.0,
    "saturation_users": 8,
    "saturation": [{"users": 1, "texts_per_s": 500.0, "p50_ms": 1.5, "p95_ms": 9.0, "p99_ms": 12.0}],
    "trials": [
        {
            "setting": "most_tokens_per_run",
            "in_use": "4096",
            "chosen": "16384",
            "figures": {
                value: {
                    "texts_per_s": 1.0,
                    "p95_ms": 2.0,
                    "single_p50_ms": 3.0,
                    "single_p99_ms": 4.0,
                    "first_request_ms": 5.0,
                }
                for value in ("4096", "16384")
            },
        }
    ],
    "values": {"most_tokens_per_run": "16384"},
    "times": {
        "1 user": [
            {"model": "extractor", "batch": 1.0, "queue_ms": 0.1, "input_ms": 0.1, "infer_ms": 0.2, "output_ms": 0.3},
        ]
    },
}


def test_what_was_chosen_is_written_into_configurations_and_document(tmp_path):
    shutil.copytree(REPOSITORY, tmp_path / "model_repository")
    (tmp_path / "docs" / "how-to").mkdir(parents=True)
    document = tmp_path / "docs" / "how-to" / "serving.md"
    document.write_text(f"before\n{BEGIN}\nstale tables\n{END}\nafter\n", encoding="utf-8")
    written = {path.relative_to(tmp_path).as_posix() for path in write_choices(json.loads(json.dumps(SWEEP)), tmp_path)}
    assert written == {f"model_repository/{CONFIGURATION}", "docs/how-to/serving.md"}
    assert current_values(read_configuration(tmp_path / "model_repository"))["most_tokens_per_run"] == "16384"
    content = document.read_text(encoding="utf-8")
    assert content.startswith(f"before\n{BEGIN}\n")
    assert content.endswith(f"{END}\nafter\n")
    assert "| most_tokens_per_run | **16384** |" in content
    assert "stale tables" not in content


def test_a_document_without_markers_is_refused():
    with pytest.raises(DocumentError, match="must hold one line"):
        with_tables("no markers", SWEEP)


def test_the_serving_document_has_a_place_for_the_tables():
    with_tables((ROOT / "docs" / "how-to" / "serving.md").read_text(encoding="utf-8"), SWEEP)
