"""Label Studio's JSON exports: full (``annotations`` with ``result``) and "JSON-MIN" (labels beside the text)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distillex_training.data.formats.json_records import json_array
from distillex_training.data.formats.reading import Reading
from distillex_training.data.records import GoldSpan

Labelled = tuple[GoldSpan, "str | None"]


def read_label_studio(path: Path, content: str) -> Reading:
    """Read an export; each span is checked against the text that it names.

    Offsets are taken as code points; where the named text is found only by counting UTF-16 units, as browsers do, they
    are taken as those. A task with several annotations is read when all of them agree.
    """
    reading = Reading(path)
    passed_over = 0
    for line, task in json_array(reading, content):
        name = f"task {task['id']}: " if "id" in task else ""
        text, answers, reason = _answers(task)
        if text is None or reason:
            reading.refuse(line, name + reason)
            continue
        read = []
        for results in answers:
            spans, reasons, others = _spans(results, text)
            passed_over += others
            read.append((spans, reasons))
        if any(set(spans) != set(read[0][0]) for spans, _ in read):
            reading.refuse(line, f"{name}its {len(read)} annotations disagree; keep one of them")
            continue
        spans, reasons = read[0]
        reading.add(line, text, spans, [name + each for each in reasons])
    if passed_over:
        reading.notes.append(
            f"{path}: {passed_over} results passed over that are no labelled spans (relations, choices)"
        )
    return reading


def _answers(task: dict[str, Any]) -> tuple[str | None, list[list[Any]], str]:
    """Return the text, the results of each annotation, and why the task cannot be used."""
    data = task.get("data", task)
    if not isinstance(data, dict):
        return None, [], '"data" is not an object'
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    if "data" not in task:
        minimal = next((value for key, value in task.items() if key != "text" and _is_regions(value)), None)
        if not isinstance(task.get("text"), str):
            return None, [], 'no string "text"'
        if minimal is None:
            return None, [], "not annotated"
        return task["text"], [[{"value": region} for region in minimal]], ""
    text = texts.get("text") if "text" in texts else next(iter(texts.values())) if len(texts) == 1 else None
    if text is None:
        return None, [], f'no string "text" in "data", which has {", ".join(map(repr, data)) or "nothing"}'
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list):
        return None, [], 'no list "annotations"'
    answers = [
        annotation.get("result")
        for annotation in annotations
        if isinstance(annotation, dict) and not annotation.get("was_cancelled")
    ]
    if not answers:
        return None, [], "not annotated (no annotation, or all cancelled)"
    if not all(isinstance(answer, list) for answer in answers):
        return None, [], 'an annotation has no list "result"'
    return text, [list(answer or []) for answer in answers], ""


def _is_regions(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and "start" in each for each in value)


def _spans(results: list[Any], text: str) -> tuple[list[Labelled], list[str], int]:
    spans: list[Labelled] = []
    reasons = []
    others = 0
    for result in results:
        match result:
            case {"value": {"start": int(start), "end": int(end), "labels": [str(kind)]} as value}:
                surface = value.get("text")
                spans.append((_span(text, start, end, kind, surface), surface if isinstance(surface, str) else None))
            case {"value": {"start": _, "end": _} as value}:
                reasons.append(f"{value!r} is not a span with whole numbers start and end and exactly one label")
            case {"type": "labels"} | {"value": {"labels": _}}:
                reasons.append(f"{result!r} has no start and end")
            case _:
                others += 1
    return spans, reasons, others


def _span(text: str, start: int, end: int, kind: str, surface: Any) -> GoldSpan:
    if isinstance(surface, str) and text[start:end] != surface:
        encoded = text.encode("utf-16-le", "surrogatepass")
        if encoded[2 * start : 2 * end].decode("utf-16-le", "replace") == surface and start >= 0:
            begin = len(encoded[: 2 * start].decode("utf-16-le", "replace"))
            return GoldSpan(begin, begin + len(surface), kind)
    return GoldSpan(start, end, kind)
