"""Label Studio's JSON: full (``annotations`` with ``result``), "JSON-MIN" (labels beside the text), and its storage's.

Written: tasks to import, with ``annotations``, or with ``predictions`` where a model labelled them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.json_records import json_objects
from distillex_training.data.formats.offsets import count_of, has_surface
from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output, json_array_of
from distillex_training.data.records import GoldSpan, Record

OWN_KEYS = frozenset(("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"))
"""What JSON-MIN says of a task beside its data and labels."""
FROM_NAME, TO_NAME = "label", "text"
"""Names of the tags in the labelling configuration that written tasks belong to."""
ELSEWHERE = {
    "hypertextlabels": "labels of a web page are not read: its text is not what its offsets count; label plain text",
    "paragraphlabels": "labels of a dialogue are not read; label its turns as texts of their own",
}


def labelling_configuration(types: Sequence[str]) -> str:
    """Return the configuration of a project that written tasks fit."""
    labels = "".join(f'<Label value="{_escaped(kind)}"/>' for kind in types)
    return (
        f'<View><Labels name="{FROM_NAME}" toName="{TO_NAME}">{labels}</Labels>'
        f'<Text name="{TO_NAME}" value="$text"/></View>'
    )


def read_label_studio(source: Source) -> Reading:
    """Read an export; each span is checked against the text that it names.

    Offsets are taken as code points; where the named text is found only by counting UTF-16 units, as browsers do, or
    line ends as one character, they are taken as those. A task with several annotations is read when all of them agree.
    """
    reading = Reading(source.path, source.options)
    passed_over = predicted = 0
    for line, task in json_objects(reading, source.text):
        name = f"task {task['id']}: " if "id" in task else ""
        text, answers, reason = _answers(task)
        if text is None:
            reading.refuse(line, name + reason)
            continue
        if not answers and source.options.predictions and (prediction := _prediction(task)) is not None:
            answers = [prediction]
            predicted += 1
        if not answers:
            reading.refuse(line, name + (reason or _not_annotated(task)))
            continue
        read = []
        for results in answers:
            spans, reasons, others = _spans(results)
            passed_over += others
            read.append((spans, reasons))
        if any(set(spans) != set(read[0][0]) for spans, _ in read):
            reading.refuse(line, f"{name}its {len(read)} annotations disagree; keep one of them")
            continue
        spans, reasons = read[0]
        reading.add(line, text, spans, [name + each for each in reasons])
    if passed_over:
        reading.notes.append(
            f"{source.path}: {passed_over} results passed over that are no labelled spans (relations, choices)"
        )
    if predicted:
        reading.notes.append(f"{source.path}: {predicted} tasks have a model's predictions alone; they were taken")
    return reading.finish()


def write_label_studio(records: Sequence[Record], output: Output) -> None:
    """Write tasks for :func:`labelling_configuration`."""
    tasks = []
    for number, record in enumerate(records):
        result = [_region(record, place) for place in range(len(record.spans))]
        task: dict[str, Any] = {"id": number + 1, "data": {"text": record.text}}
        if output.model:
            task["predictions"] = [{"model_version": output.model, "result": result}]
            if output.confidences:
                task["predictions"][0]["score"] = output.confidence(number)
        else:
            task["annotations"] = [{"result": result}]
        tasks.append(task)
    write_atomically(output.path, json_array_of(tasks))


def is_task(value: Any) -> bool:
    """Tell whether a value is a task with its labels."""
    if not isinstance(value, dict):
        return False
    if "data" in value and any(
        isinstance(value.get(key), list) for key in ("annotations", "completions", "predictions")
    ):
        return isinstance(value["data"], dict)
    if "result" in value and "task" in value:
        return True
    return any(each and is_regions(each) for each in value.values())


def is_minimal_task(value: Any) -> bool:
    """Tell whether a value looks like a task of JSON-MIN, labelled or not."""
    return isinstance(value, dict) and ("annotator" in value or "annotation_id" in value)


def is_regions(value: Any) -> bool:
    """Tell whether a value is a list of JSON-MIN's regions."""
    return isinstance(value, list) and all(
        isinstance(each, dict) and "start" in each and any(key.endswith("labels") for key in each) for each in value
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _region(record: Record, place: int) -> dict[str, Any]:
    span = record.spans[place]
    surface = record.text[span.start : span.end]
    return {
        "id": f"e{place + 1}",
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "type": "labels",
        "value": {"start": span.start, "end": span.end, "text": surface, "labels": [span.type]},
    }


def _answers(task: dict[str, Any]) -> tuple[str | None, list[list[Any]], str]:
    """Return the text, the results of each annotation, and why there is none."""
    if "task" in task and "result" in task:
        inner = task["task"]
        if not isinstance(inner, dict):
            return None, [], f'"task" is {inner!r}: its text is not in this file; export the project as JSON'
        task = {"data": inner.get("data"), "annotations": [task]}
    if "data" not in task:
        return _minimal_answers(task)
    data = task["data"]
    if not isinstance(data, dict):
        return None, [], '"data" is not an object'
    annotations = task.get("annotations", task.get("completions", []))
    if not isinstance(annotations, list):
        return None, [], '"annotations" is not a list'
    valid = [each for each in annotations if isinstance(each, dict) and not each.get("was_cancelled")]
    answers = [each.get("result") for each in valid]
    results = [answer for answer in answers if isinstance(answer, list)]
    text, reason = _text_of(data, [result for each in results for result in each])
    if len(results) < len(answers):
        return None, [], 'an annotation has no list "result"'
    return text, results, "" if text is not None else reason


def _minimal_answers(task: dict[str, Any]) -> tuple[str | None, list[list[Any]], str]:
    # A configuration may have several tags of labels; an empty list may be a tag's or anything else's.
    given = {key: value for key, value in task.items() if key not in OWN_KEYS}
    regions = {key: value for key, value in given.items() if value and is_regions(value)}
    results = [{"type": "labels", "value": region} for value in regions.values() for region in value]
    text, reason = _text_of({key: value for key, value in given.items() if key not in regions}, results)
    return text, [results] if results else [], reason


def _text_of(data: dict[str, Any], results: list[Any]) -> tuple[str | None, str]:
    """Return the text that spans count in: "text", the only string, or the only one that has all surfaces."""
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    if "text" in texts:
        return texts["text"], ""
    if len(texts) == 1:
        return next(iter(texts.values())), ""
    if isinstance(data.get("text"), list):
        return None, ELSEWHERE["paragraphlabels"]
    values = [
        result["value"] for result in results if isinstance(result, dict) and isinstance(result.get("value"), dict)
    ]
    fitting = [text for text in texts.values() if values and _fits(text, values)]
    if len(fitting) == 1:
        return fitting[0], ""
    named = ", ".join(map(repr, data)) or "nothing"
    return None, f'no string "text" in "data", which has {named}'


def _fits(text: str, values: list[dict[str, Any]]) -> bool:
    spans: list[tuple[int, int, str]] = []
    for value in values:
        match value:
            case {"start": int(start), "end": int(end), "text": str(surface)}:
                spans.append((start, end, surface))
            case _:
                return False
    return count_of(text, spans) is not None or all(has_surface(text, *span) for span in spans)


def _prediction(task: dict[str, Any]) -> list[Any] | None:
    predictions = task.get("predictions")
    if not isinstance(predictions, list) or not predictions or not isinstance(predictions[-1], dict):
        return None
    result = predictions[-1].get("result")
    return result if isinstance(result, list) else None


def _not_annotated(task: dict[str, Any]) -> str:
    if _prediction(task) is not None:
        return "not annotated: a model's predictions alone (--predictions takes them)"
    if "data" in task:
        return "not annotated (no annotation, or all cancelled)"
    return "not annotated, or without entities: JSON-MIN does not tell them apart; export JSON"


def _spans(results: list[Any]) -> tuple[list[Labelled], list[str], int]:
    spans: list[Labelled] = []
    reasons = []
    others = 0
    for result in results:
        kind = result.get("type", "") if isinstance(result, dict) else ""
        match result:
            case {"value": dict() as value} if _is_labelled_span(kind, value):
                span, reason = _span(value)
                if span is not None:
                    spans.append(span)
                else:
                    reasons.append(reason)
            case {"type": "labels"}:
                reasons.append("a labelled span has no start and end")
            case _:
                others += 1
    return spans, reasons, others


def _is_labelled_span(kind: str, value: dict[str, Any]) -> bool:
    """Tell it from what else is said of a stretch: choices, a comment."""
    return kind in ("labels", *ELSEWHERE) if kind else "labels" in value or "start" in value


def _span(value: dict[str, Any]) -> tuple[Labelled | None, str]:
    for key, reason in ELSEWHERE.items():
        if key in value:
            return None, reason
    start, end, surface, labels = (value.get(key) for key in ("start", "end", "text", "labels"))
    if type(start) is not int or type(end) is not int:
        return None, f"a span from {start!r} to {end!r}: whole numbers are accepted"
    named = f"the span [{start}, {end})" + (f" {surface!r}" if isinstance(surface, str) else "")
    if not labels:
        return None, f"{named} has no label"
    if not isinstance(labels, list) or not isinstance(labels[0], str):
        return None, f"{named} has the label {labels!r}; a list of one name is accepted"
    if len(labels) > 1:
        return None, f"{named} has {len(labels)} labels ({', '.join(map(str, labels))}); one is accepted"
    return (GoldSpan(start, end, labels[0]), surface if isinstance(surface, str) else None), ""
