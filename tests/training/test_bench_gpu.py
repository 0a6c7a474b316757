"""benchmarks/bench_gpu.py runs from end to end without a GPU, so that it does where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
from distillex_matcher.exported import GPU_NETWORK_FILE
from distillex_training.export.folder import export_gpu_folder
from server_under_test import why_no_server

pytestmark = [pytest.mark.training, pytest.mark.server, pytest.mark.slow, pytest.mark.nightly]

ROOT = Path(__file__).resolve().parents[2]
FORM = "ONNX Runtime, buckets on the CPU"
TEXTS = ("赵伟加入了东方电子。", "南海船务的孙敏昨天说，", "今天李静离开北斗软件！", "昨天", "吴磊加入了西山矿业。")


def start(script, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / script, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def run(script, *arguments):
    done = start(script, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def measured(toy_student, toy_teacher, toy_lexicons, tmp_path_factory):
    """The report of a run on toys, and what was printed."""
    folder = tmp_path_factory.mktemp("bench")
    student, teacher = folder / "student-toy", folder / "teacher-toy"
    student.symlink_to(toy_student)
    teacher.symlink_to(toy_teacher)
    (folder / "texts.txt").write_text("".join(f"{number}{text}\n" for text in TEXTS for number in range(8)))
    # What was exported before is carried to a GPU machine, and used there.
    for model in (student, teacher):
        export_gpu_folder(model, folder / "work" / model.name)
    before = (folder / "work" / teacher.name / GPU_NETWORK_FILE).stat().st_mtime_ns
    printed = run(
        "benchmarks/bench_gpu.py", "--student", student, "--teacher", teacher, "--work", folder / "work",
        "--lexicons", toy_lexicons, "--text", folder / "texts.txt", "--device", "cpu", "--quick",
        "--json", folder / "report.json",
    )  # fmt: skip
    assert (folder / "work" / teacher.name / GPU_NETWORK_FILE).stat().st_mtime_ns == before
    return folder, json.loads((folder / "report.json").read_text(encoding="utf-8")), printed


def test_every_form_shape_and_model_has_a_row_that_was_checked(measured):
    _, report, _ = measured
    rows = {(row["form"], row["shape"], row["model"]): row for row in report["networks"]}
    forms, shapes, models = (FORM, "PyTorch eager"), ("1x32", "8x32"), ("student", "teacher")
    assert rows.keys() == {(form, shape, model) for form in forms for shape in shapes for model in models}
    assert all(row["network_ms"] > 0 and row["off_by"] < 0.02 for row in rows.values())
    assert all(rows[FORM, shape, model]["copy_in_ms"] > 0 for shape in shapes for model in models)
    assert {row["model"] for row in report["starts"]} == set(models)


def test_the_pipeline_is_divided_into_parts_one_of_which_binds(measured):
    _, report, _ = measured
    whole = {row["model"]: row for row in report["pipeline"] if row["form"] == FORM}
    assert whole.keys() == {"student", "teacher"}
    for row in whole.values():
        assert row["sentences_per_second"] > 0
        assert [each["batch"] for each in row["parts"]] == [1, 8]
        for each in row["parts"]:
            assert all(each["microseconds_per_sentence"].values())
            assert each["binds"] in each["allowed_sentences_per_second"]
            assert each["allowed_sentences_per_second"][each["binds"]] == min(
                rate for part, rate in each["allowed_sentences_per_second"].items() if part != "copies and network"
            )


def test_the_entities_are_those_of_the_cpu_in_process_and_served(measured):
    _, report, _ = measured
    student = next(row for row in report["pipeline"] if "agreement" in row)
    assert student["spans"] > 20
    assert student["agreement"] >= 0.998
    assert student["as_int8"] > 0.9
    (served,) = report["served"]
    if why_no_server() is None:
        assert served["found"] == student["found"]
        assert served["provider"] == "cpu"
    else:
        assert "not_measured" in served


def test_the_bounds_are_judged_and_the_tables_printed(measured):
    _, report, printed = measured
    assert report["acceptance"]["network at 256x64, ms"] == {"measured": None, "bound": 0.6, "kept": None}
    assert report["acceptance"]["spans equal to the CPU's"]["measured"] is not None
    assert f"| 1x32 | {FORM} |" in printed
    assert "| network at 256x64, ms |  | 0.6 | not measured |" in printed


def test_the_report_is_taken_up_by_the_results_and_the_page(measured):
    folder, report, _ = measured
    page, results = folder / "gpu.md", folder / "results.json"
    shipped = ROOT / "docs" / "how-to" / "gpu.md"
    lines = shipped.read_text(encoding="utf-8").split("\n")
    marks = [line for line in lines if line.startswith("<!--") and "measured" in line]
    page.write_text("\n".join(["before", marks[0], "old", marks[1], "after"]), encoding="utf-8")
    for _ in range(2):
        run("training/evidence/record_gpu.py", folder / "report.json", "--results", results, "--page", page)
    (kept,) = json.loads(results.read_text(encoding="utf-8"))["gpu"]
    assert kept["networks"] == report["networks"]
    content = page.read_text(encoding="utf-8")
    assert content.startswith(f"before\n{marks[0]}\n\n### none\n")
    assert content.endswith(f"{marks[1]}\nafter")
    assert "old" not in content
    assert f"| 1x32 | {FORM} |" in content


def test_a_shape_without_a_bucket_is_refused_before_anything_is_measured(measured):
    folder, _, _ = measured
    done = start(
        "benchmarks/bench_gpu.py", "--student", folder / "student-toy", "--teacher", folder / "teacher-toy",
        "--work", folder / "work", "--text", folder / "texts.txt", "--device", "cpu", "--quick",
        "--shapes", "1x32", "3x32", "many",
    )  # fmt: skip
    assert done.returncode == 1
    assert "--shapes 3x32 many: no such bucket; there are 1x32 8x32 32x32 " in done.stderr
    assert "networks" not in done.stdout


def test_a_network_of_another_model_is_exported_anew_and_a_provider_that_fails_leaves_the_rest(measured):
    """The student's CRF is another one; the teacher's network cannot be opened, PyTorch runs the models."""
    folder, _, _ = measured
    work = folder / "stale"
    shutil.copytree(folder / "work", work)
    (work / "teacher-toy" / GPU_NETWORK_FILE).write_bytes(b"no network")
    crf = json.loads((work / "student-toy" / "crf.json").read_text(encoding="utf-8"))
    crf["start"][0] += 1
    (work / "student-toy" / "crf.json").write_text(json.dumps(crf), encoding="utf-8")
    run(
        "benchmarks/bench_gpu.py", "--student", folder / "student-toy", "--teacher", folder / "teacher-toy",
        "--work", work, "--text", folder / "texts.txt", "--device", "cpu", "--quick", "--shapes", "1x32",
        "--json", work / "report.json",
    )  # fmt: skip
    fresh = (folder / "work" / "student-toy" / "crf.json").read_bytes()
    assert (work / "student-toy" / "crf.json").read_bytes() == fresh
    report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    (failed,) = report["not_measured"]
    assert failed["form"] == FORM
    assert f"{work}/teacher-toy/{GPU_NETWORK_FILE}: cannot be opened" in failed["why"]
    assert {row["form"] for row in report["networks"]} == {"PyTorch eager"}
    assert all(each["kept"] is None for each in report["acceptance"].values())
