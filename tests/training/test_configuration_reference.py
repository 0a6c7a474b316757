"""The page of all settings and the JSON schemas are those of the program."""

import dataclasses
import json
import typing
from pathlib import Path

import pytest
from distillex_training.config import PretrainRun, StudentRun, TeacherRun
from distillex_training.config.reference import json_schemas, reference_page

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"


def test_the_page_is_up_to_date():
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == reference_page()


def test_the_schemas_are_up_to_date():
    assert {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "schema").glob("*.json")} == json_schemas()


@pytest.mark.parametrize("root", [StudentRun, TeacherRun, PretrainRun])
def test_every_key_is_described(root):
    described = {line.split("|")[1].strip(): line for line in reference_page().splitlines() if line.startswith("| `")}

    def keys(kind):
        for each in dataclasses.fields(kind):
            yield each.name
            hint = typing.get_type_hints(kind)[each.name]
            for inner in (hint, *typing.get_args(hint)):
                if dataclasses.is_dataclass(inner):
                    yield from keys(inner)

    assert [name for name in keys(root) if described[f"`{name}`"].split("|")[-2].strip() == ""] == []


@pytest.mark.parametrize("name", ["distill", "finetune", "pretrain"])
def test_a_schema_takes_a_path_alone_and_no_other_key(name):
    schema = json.loads((DOCS / "schema" / f"{name}.json").read_text(encoding="utf-8"))
    assert schema["additionalProperties"] is False
    if name != "pretrain":
        assert schema["$defs"]["Corpus"]["anyOf"][0] == {"type": "string", "format": "path"}
