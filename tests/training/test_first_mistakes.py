"""A newcomer's first mistakes are answered by one sentence, before torch and transformers are imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[2] / "models"
STUDENT, OTHER = str(MODELS / "student-cluener"), str(MODELS / "student-msra")
FILES = {
    "train.jsonl": '{"text": "我住在上海", "entities": [{"start": 3, "end": 5, "type": "address"}]}\n',
    "strange.jsonl": '{"text": "我住在上海", "entities": [{"start": 3, "end": 5, "type": "adress"}]}\n',
    "raw.txt": "我住在上海\n",
    "run.yaml": "data: {train: train.jsonl, dev: train.jsonl, types: [address]}\n",
    "pretrain.yaml": "raw: [raw.txt]\ninit: bert-base-chinese\nwhole_word: false\n",
    "nothing.jsonl": '{"text": "我住在上海", "entities": []}\n',
    "broken.jsonl": "{\n",
    "empty.jsonl": "",
    "empty/nothing": "",
}
RUN, PRETRAIN = "run.yaml -o out", "pretrain.yaml -o out"
MISTAKES = [
    (f"distill {RUN} --set loop.epoch=3", "unknown key 'loop.epoch'; did you mean 'loop.epochs'?"),
    (f"distill {RUN} --set loop.epochs=many", 'loop.epochs is "many"; a whole number at least 1 is accepted'),
    (f"distill {RUN} --set loop.epochs", "'loop.epochs' is not KEY=VALUE; such as --set loop.epochs=3 is accepted"),
    ("distill rum.yaml -o out", "rum.yaml: no such file; did you mean run.yaml?"),
    (f"distill {RUN} --set data.train=trian.jsonl", "trian.jsonl: no such file"),
    (f"distill {RUN} --set data.raw=[nowhere.txt]", "nowhere.txt: no such file"),
    (f"distill {RUN} --set data.lexicon=nowhere.lex", "nowhere.lex: no such file"),
    (f"distill {RUN} --set init_from=nowhere", "init_from: nowhere: no such folder"),
    (f"distill {RUN} --set data.types=[adress]", "the label 'address' (1 of 1 sentences) is unknown; did you mean"),
    (
        f"finetune {RUN} --set encoder=bert-base-chinese --set loop.epoch=3",
        "unknown key 'loop.epoch'; did you mean 'loop.epochs'?",
    ),
    (f"finetune {RUN} --set encoder=./nowhere", "encoder"),
    (f"pretrain {PRETRAIN} --set loop.epochs=many", 'loop.epochs is "many"; a whole number at least 1 is accepted'),
    (f"pretrain {PRETRAIN} --set raw=[nowhere.txt]", "nowhere.txt: no such file"),
    (
        f"evaluate {STUDENT} strange.jsonl",
        "the label 'adress' (1 of 1 sentences) is unknown; did you mean 'address'? the model has address",
    ),
    ("evaluate empty train.jsonl", "(of an exported one) are missing"),
    ("evaluate raw.txt train.jsonl", "raw.txt: no model; a model's folder or a .onnx file is accepted"),
    (f"evaluate {STUDENT} train.jsonl --lexicon nowhere.tsv", "--lexicon: nowhere.tsv: no such file"),
    (f"calibrate {STUDENT} nowhere.jsonl -o out", "nowhere.jsonl: no such file; DATA is FILE or FILE=DECLARATION"),
    (
        f"calibrate {STUDENT} strange.jsonl -o out",
        "the label 'adress' (1 of 1 sentences) is unknown; did you mean 'address'?",
    ),
    (f"calibrate {STUDENT} nothing.jsonl -o out", "nothing.jsonl: no entity is labelled in it"),
    (f"calibrate {STUDENT} empty.jsonl -o out", "empty.jsonl: no sentence in it"),
    (f"calibrate {STUDENT} broken.jsonl -o out", "broken.jsonl:1: not JSON"),
    (f"calibrate {STUDENT} train.jsonl -o {STUDENT}", "is the model itself, which would be lost"),
    (f"calibrate {STUDENT} train.jsonl -o raw.txt", "raw.txt is a file; a model directory is written"),
    (f"calibrate {STUDENT} train.jsonl -o out --base raw.txt", "raw.txt: truncated"),
    (f"evaluate {STUDENT} nothing.jsonl", "nothing.jsonl: no entity is labelled in it"),
    (f"evaluate {STUDENT} train.jsonl --train broken.jsonl", "broken.jsonl:1: not JSON"),
    (f"evaluate {STUDENT} train.jsonl --lexicon broken.jsonl", "broken.jsonl"),
    (f"evaluate {STUDENT} train.jsonl --json nowhere/out.json", "--json: nowhere/out.json cannot be written"),
    (f"evaluate {STUDENT} train.jsonl --reliability out.gif", "--reliability: out.gif is no picture"),
    (f"compare {STUDENT} {STUDENT} strange.jsonl", "the label 'adress' (1 of 1 sentences) is unknown; did you mean"),
    (f"compare {STUDENT} broken.jsonl train.jsonl", "broken.jsonl:1: "),
    (f"compare {STUDENT} {STUDENT} train.jsonl --html empty", "--html: empty cannot be written"),
    (f"average {STUDENT} -o raw.txt", "raw.txt is a file; a model directory is written"),
    (f"average {STUDENT} {STUDENT} -o {STUDENT}", "is one of the models, which would be lost"),
    ("calibrate empty train.jsonl -o out", "empty/config.json: missing; a model directory is written"),
    (f"compare {STUDENT} nowhere train.jsonl", "unknown student 'nowhere'; known students: "),
    (f"compare {STUDENT} {STUDENT} train.jsonl --base nowhere.lex", "nowhere.lex"),
    ("average empty -o out", "empty/config.json: missing; a model directory is written"),
    (f"average {STUDENT} {OTHER} -o out", f"{OTHER} labels "),
    ("export empty -o out", "empty/config.json: missing; a model directory is written"),
    (f"export {STUDENT} -o out --base raw.txt", "--base is for the calibration text; give --calibration as well"),
    ("predict nowhere raw.txt -o out.jsonl", "unknown student 'nowhere'; known students: "),
    ("predict cluener nowhere.txt -o out.jsonl", "nowhere.txt: No such file or directory"),
    (
        "label raw.txt -o out.jsonl --model empty",
        "empty/config.json: missing; a model directory is written",
    ),
    (f"label raw.txt -o out.jsonl --model {STUDENT} --base nowhere.lex", "nowhere.lex"),
    ("init shop --train nowhere.jsonl", "nowhere.jsonl: no such file"),
    ("init shop --train train.jsonl --raw nowhere.txt", "nowhere.txt: No such file or directory"),
    ("data convert nowhere.json -o out.jsonl", "nowhere.json: no such file or folder"),
    (f"label broken.jsonl -o out.jsonl --model {STUDENT}", "broken.jsonl:1: not JSON"),
    ("label raw.txt -o out.jsonl --endpoint http://127.0.0.1:1 --llm x --types broken.jsonl", "broken.jsonl"),
    ("runs list nowhere", "nowhere: no such folder"),
    ("runs show empty", "empty"),
    ("data close train.jsonl -o out.jsonl --teacher empty", "empty/config.json: missing"),
    (f"data close strange.jsonl -o out.jsonl --teacher {STUDENT}", "strange.jsonl:1: "),
    ("data close train.jsonl -o out.jsonl --declaration nowhere.yaml", "nowhere.yaml"),
    ("data check nowhere.jsonl", "nowhere.jsonl: No such file or directory"),
    ("data stats nowhere.jsonl", "nowhere.jsonl: No such file or directory"),
    (f"data select nowhere.txt -o out --model {STUDENT} -n 1", "INPUTS: nowhere.txt: no such file"),
    ("data select raw.txt -o out --model empty -n 1", "(of an exported one) are missing"),
    ("data export nowhere.jsonl -o out --format doccano", "nowhere.jsonl: no such file or folder"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder, with packages in ``stubs`` that cannot be imported but are found."""
    made = tmp_path_factory.mktemp("mistakes")
    stubs = {f"stubs/{name}/__init__.py": "raise RuntimeError('too late')\n" for name in ("torch", "transformers")}
    for name, content in (FILES | stubs).items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content, encoding="utf-8")
    return made


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_a_first_mistake_is_answered_in_one_sentence_before_torch_is_imported(
    folder: Path, arguments: str, said: str
) -> None:
    paths = os.pathsep.join((str(folder / "stubs"), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, "-m", "distillex.command.main", *arguments.split()],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.startswith("distillex")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
