"""Settings chosen on the training file alone, by training/ablations/cross_validation.py."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from conftest import toy_sentences, write_jsonl

ABLATIONS = Path(__file__).resolve().parents[2] / "training" / "ablations"


@pytest.fixture
def declared(toy, tmp_path):
    """A configuration whose training file labels companies by another name and no names, as its declaration says."""
    records = [
        record | {"entities": [e | {"type": "ORG"} for e in record["entities"] if e["type"] == "company"]}
        for record in toy_sentences(40, 8)
    ]
    train = write_jsonl(tmp_path / "train.jsonl", [*records, records[0]])
    (tmp_path / "corpus.yaml").write_text("types: {ORG: company}\nopen: [name]\n", encoding="utf-8")
    content = (toy / "student.yaml").read_text(encoding="utf-8")
    corpus = json.dumps({"path": str(train), "declaration": str(tmp_path / "corpus.yaml"), "weight": 0.5})
    content = content.replace("train: train.jsonl", f"train: {corpus}").replace("base.lex", f"{toy}/base.lex")
    path = tmp_path / "student-declared.yaml"
    path.write_text(content.replace("dev: dev.jsonl", f"dev: {toy}/dev.jsonl"), encoding="utf-8")
    return path


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_folds_keep_what_their_file_declares(declared, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ABLATIONS)
    arguments = (declared, "--folds", "2", "--try", "loop.epochs=1", "--output", tmp_path / "runs")
    monkeypatch.setattr(sys, "argv", ["cross_validation.py", *map(str, arguments)])
    runpy.run_path(str(ABLATIONS / "cross_validation.py"), run_name="__main__")
    assert capsys.readouterr().out.splitlines()[2].startswith("| loop.epochs=1 | ")
    folder = tmp_path / "runs" / "student-declared"
    for fold in range(2):
        settings = json.loads((folder / f"loop.epochs=1-2-{fold}" / "run.json").read_text(encoding="utf-8"))["settings"]
        assert settings["data.train.0.weight"] == 0.5
        for split in ("train", "dev"):
            assert settings[f"data.{split}.0.declaration"]["path"] == str(tmp_path / "corpus.yaml")
        config = json.loads((folder / f"loop.epochs=1-2-{fold}" / "best" / "config.json").read_text(encoding="utf-8"))
        assert config["entity_types"] == ["company"]
    files = [*sorted((folder / "2-folds").glob("dev-*.jsonl")), tmp_path / "train.jsonl"]
    first, second, whole = ({json.loads(line)["text"] for line in lines_of(path)} for path in files)
    assert first.isdisjoint(second)
    assert first | second == whole
