"""The teacher's cache on disk: one writer at a time, nothing damaged is read, nothing is mistaken for another."""

import dataclasses
import json
import logging
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from distillex_matcher import Lexicon
from distillex_training.config import StudentRun, read_config
from distillex_training.ensemble import Ensemble
from distillex_training.errors import NotFiniteError
from distillex_training.models import load_model
from distillex_training.tagging import read_data
from distillex_training.teacher_cache import BATCH_SIZE, LOCK, CachedOutputs, TeacherCache, cache_key, label_raw_text
from filelock import FileLock

pytestmark = pytest.mark.training

EVERYTHING = CachedOutputs(emissions=True, hidden=True, paths=2)


@pytest.fixture(scope="module")
def data(toy, toy_teacher):
    run = read_config(toy / "student.yaml", StudentRun, {"data.raw": f"[{toy}/raw.txt]"})
    return read_data(run.data, word_hash_size=64, layout=load_model(toy_teacher)[2])


@pytest.fixture(scope="module")
def labelled(toy_teacher, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    label_raw_text([toy_teacher], data, folder, EVERYTHING)
    (directory,) = folder.iterdir()
    return directory


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != LOCK}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("spans.jsonl", "spans"),
        ("marginals.f16", "spans"),
        ("emissions.f16", "emissions"),
        ("hidden.f16", "hidden"),
        ("paths2.u8", "paths2"),
        ("paths2-scores.f32", "paths2"),
    ],
)
@pytest.mark.parametrize("damage", ["shorter", "longer", "gone"])
def test_a_damaged_file_is_computed_anew(toy_teacher, data, labelled, tmp_path, caplog, name, part, damage):
    directory = tmp_path / labelled.name
    shutil.copytree(labelled, directory)
    content = (directory / name).read_bytes()
    if damage == "gone":
        (directory / name).unlink()
    else:
        (directory / name).write_bytes(content[:-2] if damage == "shorter" else content + b'{"text": ""}\n')
    with caplog.at_level("INFO", "distillex.training"):
        label_raw_text([toy_teacher], data, tmp_path, EVERYTHING)
    assert f"{name} is damaged: {part} is computed anew" in caplog.text
    assert f"labelling {len(data.raw)} raw sentences with the teacher: {part} (0 done before)" in caplog.text
    assert contents(directory) == contents(labelled)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"labels": 9}', '{"labels": 9, "hidden_width": 32, "parts": 1}'])
def test_a_damaged_list_of_parts_is_computed_anew(toy_teacher, data, labelled, tmp_path, caplog, content):
    directory = tmp_path / labelled.name
    shutil.copytree(labelled, directory)
    (directory / "meta.json").write_text(content, encoding="utf-8")
    label_raw_text([toy_teacher], data, tmp_path, EVERYTHING)
    assert "meta.json is damaged" in caplog.text
    assert contents(directory) == contents(labelled)


def test_lines_that_name_another_text_are_not_read(toy_teacher, data, labelled, tmp_path, caplog):
    directory = tmp_path / labelled.name
    shutil.copytree(labelled, directory)
    lines = (directory / "spans.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    lines[4], lines[5] = lines[5], lines[4]
    (directory / "spans.jsonl").write_text("".join(lines), encoding="utf-8")
    label_raw_text([toy_teacher], data, tmp_path)
    assert "spans.jsonl is damaged" in caplog.text
    assert (directory / "spans.jsonl").read_bytes() == (labelled / "spans.jsonl").read_bytes()


def test_labelling_goes_on_after_a_kill_from_the_last_whole_batch(toy_teacher, data, labelled, tmp_path, caplog):
    assert label_raw_text([toy_teacher], data, tmp_path, EVERYTHING, max_batches=1) is None
    directory = tmp_path / labelled.name
    assert not any(path.name in contents(labelled) for path in directory.iterdir())  # nothing that looks finished
    with (directory / "spans.jsonl.partial").open("ab") as file:
        file.write(b'{"text": "half a l')
    with caplog.at_level(logging.INFO, "distillex.training"):
        label_raw_text([toy_teacher], data, tmp_path, EVERYTHING)
    assert f"({BATCH_SIZE} done before)" in caplog.text
    assert contents(directory) == contents(labelled)
    (tmp_path / "other").mkdir()
    assert label_raw_text([toy_teacher], data, tmp_path / "other", max_batches=1) is None
    partial = tmp_path / "other" / labelled.name / "spans.jsonl.partial"
    partial.write_bytes(b"\0" * partial.stat().st_size)  # what a machine leaves that lost its power
    label_raw_text([toy_teacher], data, tmp_path / "other")
    assert (partial.parent / "spans.jsonl").read_bytes() == (labelled / "spans.jsonl").read_bytes()


def test_what_is_there_is_opened_without_writing(toy_teacher, data, labelled, tmp_path):
    directory = tmp_path / labelled.name
    shutil.copytree(labelled, directory)
    (directory / LOCK).unlink()
    cache = label_raw_text([toy_teacher], data, tmp_path, EVERYTHING)
    assert len(cache) == len(data.raw)
    assert not (directory / LOCK).exists()


def test_other_runs_wait_for_the_one_that_labels_and_read_what_is_there(toy_teacher, data, labelled, tmp_path, caplog):
    caplog.set_level("INFO", "distillex.training")
    directory = tmp_path / labelled.name
    directory.mkdir()

    def told(part):
        return sum(part in message for message in caplog.messages)

    with ThreadPoolExecutor(2) as pool:
        with FileLock(directory / LOCK):
            runs = [pool.submit(label_raw_text, [toy_teacher], data, tmp_path, EVERYTHING) for _ in range(2)]
            deadline = time.monotonic() + 60
            while told("waiting for it") < len(runs) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert told("another process labels in") == 2
            assert not list(directory.glob("*.partial"))
        caches = [run.result(60) for run in runs]
    assert told("labelling ") == 1
    assert [len(cache) for cache in caches] == [len(data.raw)] * 2
    assert contents(directory) == contents(labelled)


def test_the_name_of_a_cache_follows_from_all_that_its_content_follows_from(toy_teacher, data, tmp_path):
    keys = [cache_key([toy_teacher], data)]
    for name in ("config.json", "features.json", "vocabulary.txt", "model.safetensors"):
        shutil.copytree(toy_teacher, tmp_path / name)
        assert cache_key([tmp_path / name], data) == keys[0]
        with (tmp_path / name / name).open("ab") as file:
            file.write(b"\n")
        keys.append(cache_key([tmp_path / name], data))
    keys.append(cache_key([toy_teacher, toy_teacher], data))
    entries = [("东方", "n", 0.5), ("电子", "n", 0.4), ("昨天", "t", 0.9), ("加入", "v", 0.7)]
    for changed in (("加入", "v", 0.6), ("加入", "n", 0.7), ("离开", "v", 0.7)):
        keys.append(
            cache_key([toy_teacher], dataclasses.replace(data, base=Lexicon.from_entries([*entries[:3], changed])))
        )
    for raw in (["甲\n乙"], ["甲", "乙"], ["乙", "甲"], ["甲乙"]):
        keys.append(cache_key([toy_teacher], dataclasses.replace(data, raw=raw)))
    assert len(set(keys)) == len(keys)


def test_paths_of_several_numbers_lie_side_by_side(toy_teacher, data, labelled, tmp_path):
    directory = tmp_path / labelled.name
    shutil.copytree(labelled, directory)
    label_raw_text([toy_teacher], data, tmp_path, CachedOutputs(paths=3))
    assert json.loads((directory / "meta.json").read_text(encoding="utf-8"))["parts"] == [
        *("emissions", "hidden", "paths2", "paths3", "spans")
    ]
    shapes = [TeacherCache(directory, CachedOutputs(paths=k)).paths([0], 30)[0].shape for k in (2, 3)]
    assert shapes == [(1, 2, 30), (1, 3, 30)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
@pytest.mark.parametrize("part", ["emissions", "hidden"])
def test_outputs_that_the_cache_cannot_hold_are_refused(toy_teacher, data, tmp_path, monkeypatch, value, part):
    given = Ensemble.outputs

    def damaged(self, texts):
        outputs = given(self, texts)
        getattr(outputs, part)[0, 1, 0] = value
        return outputs

    monkeypatch.setattr(Ensemble, "outputs", damaged)
    with pytest.raises(NotFiniteError, match="the teacher gives what is no number or beyond ±65504"):
        label_raw_text([toy_teacher], data, tmp_path)
    assert not (tmp_path / cache_key([toy_teacher], data) / "spans.jsonl").exists()
