"""The prompt for a language model: types with descriptions, examples, and the sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distillex_training.data.label_sources import read_aligned
from distillex_training.data.records import Record
from distillex_training.errors import DataError

TYPES = "{types}"
INSTRUCTION = f"""\
You label entities in Chinese text. The types of entities are:

{TYPES}

Name every entity of these types that the user's text holds, and nothing else. Copy each one's text exactly as it stands
there, character by character, without marks around it; if the same text is named with two types, give it once for each.
"""
ANSWER = 'Answer with one JSON object and nothing else: {"entities": [{"text": "…", "type": "…"}]}.'
WITH_SCORE = (
    'Answer with one JSON object and nothing else: {"entities": [{"text": "…", "type": "…", "score": 0.9}]}, where the '
    "score says from 0 to 1 how sure you are."
)
NONE = 'Where the text holds none, answer {"entities": []}.'


@dataclass(frozen=True)
class Prompt:
    """What is asked of each sentence."""

    types: Mapping[str, str]
    """Name and description; the description may be empty."""
    examples: Sequence[Record] = ()
    instruction: str = INSTRUCTION
    scores: bool = False
    """Whether the model is to say how sure it is."""

    def messages(self, text: str) -> list[dict[str, str]]:
        """Return the conversation that ends with a sentence."""
        types = "\n".join(f"- {kind}: {told}" if told else f"- {kind}" for kind, told in self.types.items())
        told = (self.instruction.replace(TYPES, types).strip(), WITH_SCORE if self.scores else ANSWER, NONE)
        messages = [{"role": "system", "content": "\n".join(told)}]
        for example in self.examples:
            messages.append({"role": "user", "content": example.text})
            messages.append({"role": "assistant", "content": self._answer(example)})
        return [*messages, {"role": "user", "content": text}]

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer, such as strict structured output takes."""
        properties: dict[str, Any] = {
            "text": {"type": "string"},
            "type": {"type": "string", "enum": list(self.types)},
        }
        if self.scores:
            properties["score"] = {"type": "number"}
        entity = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {"entities": {"type": "array", "items": entity}},
            "required": ["entities"],
            "additionalProperties": False,
        }

    def key(self, text: str, model: str, settings: Mapping[str, Any], url: str) -> str:
        """Return a hash of all that an answer follows from; servers may give different models one name."""
        asked = [url, model, self.messages(text), self.schema(), dict(settings)]
        return hashlib.sha256(json.dumps(asked, ensure_ascii=False, sort_keys=True).encode()).hexdigest()

    def _answer(self, example: Record) -> str:
        entities: list[dict[str, Any]] = []
        for span in example.spans:
            entity = {"text": example.text[span.start : span.end], "type": span.type}
            entities.append(entity | ({"score": span.score} if self.scores else {}))
        distinct = [entity for i, entity in enumerate(entities) if entity not in entities[:i]]
        return json.dumps({"entities": distinct}, ensure_ascii=False)


def read_types(path: Path) -> dict[str, str]:
    """Read the types: a YAML file of names and one-line descriptions, or a list of names.

    Raises
    ------
    DataError
        For a file that is neither.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from None
    types = dict.fromkeys(content) if isinstance(content, list) and all(map(_is_name, content)) else content
    if not isinstance(types, dict) or not types:
        raise DataError(f"{path}: expected names of types with a description each, such as 'company: a business'")
    for kind, told in types.items():
        if not _is_name(kind):
            raise DataError(f"{path}: YAML reads a name as {kind!r}: write it in quotes")
        if told is not None and not isinstance(told, str):
            raise DataError(f"{path}: {kind}: {told!r} is no description; one line of text is accepted")
    return {kind: (told or "").strip() for kind, told in types.items()}


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def read_examples(path: Path, types: Mapping[str, str]) -> list[Record]:
    """Read labelled sentences to show; entities may be given by their text.

    Raises
    ------
    DataError
        For bad records, entities that are not found, types that are not asked for.
    """
    file, _ = read_aligned(path)
    if file.problems:
        raise DataError.of(file.problems)
    if not file.records:
        raise DataError(f"{path}: no sentence in it")
    for record in file.records:
        if record.open:
            raise DataError(f"{record.where}: an entity of type {record.open[0].types[0]} does not stand in the text")
        for span in record.spans:
            if span.type not in types:
                raise DataError(f"{record.where}: type {span.type!r} is not asked for; asked are {', '.join(types)}")
    return file.records


def read_instruction(path: Path) -> str:
    """Read an instruction of one's own, in which ``{types}`` stands for the types.

    Raises
    ------
    DataError
        For one without that place.
    """
    try:
        instruction = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from None
    if TYPES not in instruction:
        raise DataError(f"{path}: {TYPES} is missing, the place where the types are listed")
    return instruction
