"""The scripts that write docs/notebook/results.json, and the page and pictures made of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'distillex[train]'")
from distillex_training.models import load_model
from server_under_test import why_no_server

pytestmark = [pytest.mark.training, pytest.mark.server]
EVIDENCE = Path(__file__).resolve().parents[2] / "training" / "evidence"


def run(script, *arguments):
    subprocess.run([sys.executable, EVIDENCE / script, *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def written(toy, toy_student, toy_teacher, toy_lexicons, tmp_path_factory):
    from distillex_training.export.folder import export_folder

    if reason := why_no_server():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("evidence")
    results = folder / "results.json"
    export_folder(toy_student, folder / "student")
    export_folder(toy_teacher, folder / "teacher")
    for seed in (1, 2, 2):
        run("record_run.py", toy_student.parent, "--set", "toy", "--model", "student", "--seed", seed,
            "--command", "distillex distill toy.yaml", "--results", results)  # fmt: skip
    run("record_run.py", toy_student, "--set", "toy", "--model", "student, measured", "--base", toy / "base.lex",
        "--development", toy / "dev.jsonl", "--command", "distillex average", "--results", results)  # fmt: skip
    run("record_run.py", toy_student.parent, "--set", "toy", "--model", "few sentences: gold alone",
        "--command", "distillex distill toy.yaml", "--results", results)  # fmt: skip
    files = (f"teacher, with lexicon={folder}/teacher", f"student={folder}/student")
    run("measure_files.py", toy / "dev.jsonl", *files, "--set", "toy", "--base", toy / "base.lex",
        "--rounds", 1, "--served-rounds", 1, "--served-sentences", 40, "--lexicons", toy_lexicons,
        "--results", results)  # fmt: skip
    run("write_results.py", "--results", results, "--output", folder)
    return folder


def test_a_row_a_run_and_a_row_a_file(written, toy_student):
    results = json.loads((written / "results.json").read_text(encoding="utf-8"))
    of_ablation, *results["runs"], measured = results["runs"]
    assert of_ablation["model"] == "few sentences: gold alone"
    assert [row["seed"] for row in results["runs"]] == [1, 2]
    assert {key: measured[key] for key in ("f1", "precision", "recall", "parameters")} == {
        key: results["runs"][0][key] for key in ("f1", "precision", "recall", "parameters")
    }
    assert (measured["model"], measured["curve"]) == ("student, measured", [])
    metrics = [json.loads(line) for line in (toy_student.parent / "metrics.jsonl").read_text().splitlines()]
    assert results["runs"][0]["f1"] == max(row["f1"] for row in metrics)
    assert results["runs"][0]["command"] == "distillex distill toy.yaml"
    model, crf, _ = load_model(toy_student)
    assert results["runs"][0]["parameters"] == sum(p.numel() for part in (model, crf) for p in part.parameters())
    assert [row["model"] for row in results["files"]] == ["student", "teacher, with lexicon"]
    for row in results["files"]:
        assert all(row[key] > 0 for key in ("sentences_per_second", "served_sentences_per_second", "bytes"))


def test_the_page_has_means_spreads_ratios_and_pictures(written):
    page = (written / "models.md").read_text(encoding="utf-8")
    rows = {line.split(" | ")[0].strip("| "): line for line in page.splitlines() if line.startswith("| ")}
    assert " (0.0000) | 2 | " in rows["student"]
    student, teacher = json.loads((written / "results.json").read_text(encoding="utf-8"))["files"]
    ratios = [teacher["bytes"] / student["bytes"]] + [
        student[key] / teacher[key] for key in ("sentences_per_second", "served_sentences_per_second")
    ]
    assert rows["student"].split(" | ")[-3:] == [f"{ratio:.1f}" for ratio in ratios[:2]] + [f"{ratios[2]:.1f} |"]
    assert rows["teacher, with lexicon"].rstrip().endswith("| 1.0 | 1.0 | 1.0 |")
    section = page[page.index("### toy, few sentences") :]
    assert "| gold alone | " in section
    assert "few sentences: gold alone" not in page[: page.index("### toy")]
    for picture in ("curves-toy.png", "curves-toy-few-sentences.png", "size-speed-f1.png"):
        assert f"images/{picture}" in page
        assert (written / "images" / picture).read_bytes().startswith(b"\x89PNG")


def test_a_file_written_anew_keeps_the_speeds_that_are_not_timed_again(written, toy, toy_student, tmp_path):
    from distillex_training.export.folder import export_folder
    from distillex_training.export.options import Int8

    results = tmp_path / "results.json"
    shutil.copy(written / "results.json", results)
    export_folder(toy_student, tmp_path / "student", int8=Int8.NONE)
    measure = ["measure_files.py", toy / "dev.jsonl", "--set", "toy", "--base", toy / "base.lex", "--results", results,
               "--keep-speeds", "--note", "speeds of an earlier file"]  # fmt: skip
    run(*measure, f"student={tmp_path}/student")
    before, teacher = json.loads((written / "results.json").read_text(encoding="utf-8"))["files"]
    after, same = json.loads(results.read_text(encoding="utf-8"))["files"]
    assert same == teacher
    size = (tmp_path / "student" / "model.onnx").stat().st_size
    changed = {"bytes": size, "f1": after["f1"], "note": "speeds of an earlier file", "commit": after["commit"]}
    assert (size != before["bytes"], after) == (True, before | changed)
    run("write_results.py", "--results", results, "--output", tmp_path)
    assert "student: speeds of an earlier file\n" in (tmp_path / "models.md").read_text(encoding="utf-8")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(*measure, f"new={tmp_path}/student")
    assert (
        b"no row of set 'toy' yet for ['new']; there are ['student', 'teacher, with lexicon']" in refused.value.stderr
    )
