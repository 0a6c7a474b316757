"""The model card that training/evidence/write_model_card.py makes of measured figures and of what a person says."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from conftest import write_jsonl
from typer.testing import CliRunner

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'distillex[train]'")

pytestmark = pytest.mark.training
EVIDENCE = Path(__file__).resolve().parents[2] / "training" / "evidence"
CARD = {
    "summary": "Names and firms of a toy language.",
    "types": [
        {"type": "name", "what": "a person", "example": "【赵伟】昨天说"},
        {"type": "company", "what": "a firm | a bank", "example": "加入了【东方电子】"},
    ],
    "about": {"network": "tables and convolutions"},
    "means": [{"name": "both", "of": ["chat", "news"]}],
    "notes": "The epoch was picked on them.",
    "use": "tests",
    "limits": "a toy",
    "licence": "Apache-2.0",
}


@pytest.fixture(scope="module")
def measured(toy, toy_student, tmp_path_factory):
    """A folder with an exported model, what was measured of it, and its diagram."""
    from distillex.command.main import application
    from distillex_training.export.folder import export_folder

    folder = tmp_path_factory.mktemp("card")
    shutil.copytree(toy_student, folder / "toy-student")
    export_folder(toy_student, folder / "toy-student")
    records = [json.loads(line) for line in (toy / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    for number, record in enumerate(records):
        record["domain"] = ("news", "chat")[number % 2]
    everyday = write_jsonl(folder / "everyday.jsonl", [*records, {"text": "今天。", "entities": [], "domain": "none"}])
    for data, more in ((everyday, ("--reliability", folder / "everyday.svg")), (toy / "dev.jsonl", ())):
        arguments = ("evaluate", folder / "toy-student" / "model.onnx", data, "--base", toy / "base.lex", *more)
        done = CliRunner().invoke(application, [*map(str, arguments), "--json", str(folder / f"{data.stem}.json")])
        assert done.exit_code == 0, done.output
    return folder


def write(monkeypatch, folder, tmp_path, card=CARD, figures="everyday.json", picture="everyday.svg"):
    (tmp_path / "card.yaml").write_text(json.dumps(card), encoding="utf-8")
    files = ("--measured", f"everyday={folder / figures}", "--measured", f"toy={folder / 'dev.json'}")
    arguments = (folder / "toy-student", "--card", tmp_path / "card.yaml", *files, "--reliability", folder / picture)
    command = ["write_model_card.py", *map(str, arguments), "-o", str(tmp_path / "README.md")]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.syspath_prepend(EVIDENCE)
    runpy.run_path(str(EVIDENCE / "write_model_card.py"), run_name="__main__")
    return (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_card_has_what_was_measured_and_what_is_said(measured, tmp_path, monkeypatch):
    page = write(monkeypatch, measured, tmp_path)
    base = json.loads((measured / "everyday.json").read_text(encoding="utf-8"))[1]
    toy = json.loads((measured / "dev.json").read_text(encoding="utf-8"))[1]
    lines = page.splitlines()
    assert lines[0] == "# Model card: toy-student"
    assert "| `company` | a firm \\| a bank | 加入了【东方电子】 |" in lines
    size = (measured / "toy-student" / "model.onnx").stat().st_size
    assert f"| file | `model.onnx`, {size / 1e6:.2f} MB |" in lines
    for name, each in (("everyday", base), ("toy", toy)):
        figures = f"| {each['f1']:.4f} | {each['precision']:.4f} | {each['recall']:.4f} | {each['faulty_share']:.1%} |"
        empty = f"{each['wrongly_filled_sentences']} of {each['sentences_without_entities']}"
        assert f"| {name} | {each['sentences']} {figures} {empty} |" in page
    assert (base["sentences"], base["sentences_without_entities"]) == (25, 1)
    for title, rows in (("type", base["per_type"]), ("domain", base["per_domain"])):
        table = page[page.index(f"| {title} | F1 | precision | recall | gold |") :]
        keys = ("gold", "sentences", "faulty_sentences") if title == "domain" else ("gold",)
        for name, each in rows.items():
            scores = ["–"] * 3 if name == "none" else [f"{each[key]:.4f}" for key in ("f1", "precision", "recall")]
            assert f"\n| {' | '.join([name, *scores, *(str(each[key]) for key in keys)])} |\n" in table
    mean = (base["per_domain"]["chat"]["f1"] + base["per_domain"]["news"]["f1"]) / 2
    assert f"Mean F1 of both (chat, news): {mean:.4f}." in lines
    assert f"expected calibration error {base['calibration_error']:.3f}" in page
    assert "](reliability.svg)" in page
    assert (tmp_path / "reliability.svg").read_bytes() == (measured / "everyday.svg").read_bytes()
    for said in (
        "**Limits**: a toy",
        "**Licence**: Apache-2.0",
        "The epoch was picked on them.",
        "| network | tables and",
    ):
        assert said in page


def changed(**keys):
    return CARD | keys


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"card": changed(types=CARD["types"][:1])}, "types: name; the model's are company, name"),
        (
            {"card": changed(means=[{"name": "all", "of": ["sms"]}])},
            "no domain 'sms' in everyday; it has chat,",
        ),
        (
            {"card": changed(types=[CARD["types"][0] | {"example": "赵伟"}])},
            "example of name: '赵伟' has no entity between 【 and 】",
        ),
        ({"figures": "everyday.jsonl"}, "everyday.jsonl: not what 'distillex evaluate --json' writes"),
        ({"figures": "other.json"}, "everyday: the scores are of runs/other/best, not of"),
        ({"picture": "dev.json"}, "an SVG of less than 40,000 bytes is accepted"),
        ({"picture": "large.svg"}, "large.svg: 40,006 bytes; an SVG of less than 40,000 bytes is accepted"),
    ],
)
def test_what_does_not_belong_together_is_refused(measured, tmp_path, monkeypatch, capsys, given, reason):
    of_other = [
        each | {"model": "runs/other/best"} for each in json.loads((measured / "everyday.json").read_text("utf-8"))
    ]
    (measured / "other.json").write_text(json.dumps(of_other), encoding="utf-8")
    (measured / "large.svg").write_text("<svg/>" + " " * 40_000, encoding="utf-8")
    with pytest.raises(SystemExit):
        write(monkeypatch, measured, tmp_path, **given)
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "README.md").exists()


def test_what_is_said_of_shipped_models_is_of_their_types():
    from distillex_training.config import read_config

    sys.path.insert(0, str(EVIDENCE))
    try:
        from write_model_card import CARDS, Card
    finally:
        sys.path.remove(str(EVIDENCE))
    guidelines = (EVIDENCE.parent / "annotation" / "guidelines.md").read_text(encoding="utf-8")
    card = read_config(CARDS / "student-general.yaml", Card)
    assert len(card.types) == 12
    assert all(f"| `{each.type}` |" in guidelines for each in card.types)
