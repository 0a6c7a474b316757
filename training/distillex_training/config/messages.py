"""Turn pydantic's errors into sentences: key, value, what is accepted, and a suggestion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from distillex_client.suggestions import nearest
from pydantic import TypeAdapter, ValidationError

Schema = dict[str, Any]
Location = tuple[int | str, ...]
LONGEST_VALUE = 80

RENAMED = {
    "distillation.viterbi": "distillation.losses.viterbi",
    "distillation.marginals": "distillation.losses.token_kl",
    "distillation.posteriors": "distillation.losses.crf_marginal_kl",
    "distillation.best_paths": "distillation.losses.k_best",
    "distillation.emission_error": "distillation.losses.logit_mse",
    "distillation.emission_divergence": "distillation.losses.logit_kl",
    "distillation.hidden": "distillation.losses.hidden_mse",
    "distillation.beside": "distillation.ensemble",
    "distillation.substituted": "distillation.mention_replacement.sentences",
    "distillation.crossed": "distillation.mention_replacement.invented",
    "everyday.crossed": "everyday.invented",
    "student.owned_bigrams": "student.collision_free_bigrams",
    "student.owned_words": "student.collision_free_words",
    "initial": "init_from",
    "log_batches": "loop.log_steps",
}
"""Keys of earlier versions, and what they are called now."""
PATH_ALONE = ("Corpus", "LabelSource", "TrainingCorpus")
"""Classes for which a path may stand alone."""
UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")
WORDS = {"boolean": "true or false", "string": "a text", "array": "a list", "object": "keys and values"}


def schema_of(kind: Any) -> Schema:
    """Return the JSON schema of a class of settings."""
    schema = TypeAdapter(kind).json_schema()
    for name, of_class in schema.get("$defs", {}).items():
        if name in PATH_ALONE:
            schema["$defs"][name] = {"anyOf": [{"type": "string", "format": "path"}, of_class]}
    return schema


def problems(error: ValidationError, kind: Any) -> Iterator[tuple[str, str]]:
    """Yield the dotted key and the sentence of each thing that is wrong."""
    schema = schema_of(kind)
    found = error.errors(include_url=False)
    for each in found:
        location: Location = tuple(each["loc"])
        within = [other for other in found if len(other["loc"]) > len(location)]
        if each["type"] == "too_short" and any(other["loc"][: len(location)] == location for other in within):
            continue  # a list whose values are wrong is told to lack them as well
        key = ".".join(map(str, location))
        if each["type"] in UNKNOWN_KEY:
            yield key, _of_unknown_key(location, schema)
        elif each["type"] in ("missing", "missing_argument"):
            yield key, f"the key {key!r} is missing"
        elif each["type"] == "value_error":
            yield key, f"{key}: {each['ctx']['error']}" if key else str(each["ctx"]["error"])
        else:
            node = at(schema, location)
            of_type = "type" not in each["type"] and "parsing" not in each["type"]
            limits = next(filter(None, map(bounds, _forms(node, schema))), "")
            wanted = limits if of_type and limits else accepted(node, schema)
            yield key, f"{key} is {shown(each['input'])}; {wanted} is accepted"


def sentence(error: Exception, kind: Any) -> str:
    """Return what is wrong with settings that were made in Python, in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(text for _, text in problems(error, kind))


def of_renamed(key: str) -> str | None:
    """Return what to say of a key that earlier versions had, None of another one."""
    return f"{key!r} is called {RENAMED[key]!r} now" if key in RENAMED else None


def _of_unknown_key(location: Location, schema: Schema) -> str:
    key = ".".join(map(str, location))
    if renamed := of_renamed(key):
        return renamed
    *above, last = location
    known = list(properties(at(schema, tuple(above)), schema))
    meant = nearest(str(last), known)
    if meant is None:
        everywhere = list(keys(schema))
        found = nearest(str(last), {each.rpartition(".")[2] for each in everywhere})
        places = [each for each in everywhere if each.rpartition(".")[2] == found]
        meant = places[0] if len(places) == 1 else None
    else:
        meant = ".".join(map(str, (*above, meant)))
    suggestion = f"did you mean {meant!r}? " if meant else ""
    return f"unknown key {key!r}; {suggestion}accepted keys: {', '.join(known)}"


def shown(value: Any) -> str:
    """Return a value as YAML has it, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):  # it holds itself, or keys that are no texts
        text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def resolved(node: Schema, schema: Schema) -> Schema:
    """Return what a node refers to, with what it says itself; of what may be null, the rest."""
    while "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        node = schema["$defs"][name] | {key: value for key, value in node.items() if key != "$ref"}
    some = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
    if len(some) == 1:
        return resolved(some[0], schema) | {key: value for key, value in node.items() if key != "anyOf"}
    return node


def properties(node: Schema, schema: Schema) -> Schema:
    """Return the keys of a node with the schema of each."""
    for each in _forms(node, schema):
        if "properties" in each:
            found: Schema = each["properties"]
            return found
    return {}


def _forms(node: Schema, schema: Schema) -> Iterator[Schema]:
    node = resolved(node, schema)
    if "anyOf" in node:
        for each in node["anyOf"]:
            yield from _forms(each, schema)
    else:
        yield node


def at(schema: Schema, location: Location) -> Schema:
    """Return the schema of the value at a place; empty where there is none."""
    node = schema
    for part in location:
        forms = list(_forms(node, schema))
        if isinstance(part, int):
            node = next((each["items"] for each in forms if "items" in each), {})
        else:
            node = properties(node, schema).get(part) or next(
                (each["additionalProperties"] for each in forms if isinstance(each.get("additionalProperties"), dict)),
                {},
            )
    return resolved(node, schema)


def keys(schema: Schema, node: Schema | None = None, prefix: str = "") -> Iterator[str]:
    """Yield all dotted keys, of lists those of an item as ``list.0.key``."""
    for name, each in properties(schema if node is None else node, schema).items():
        yield prefix + name
        yield from keys(schema, each, f"{prefix}{name}.")
        for form in _forms(each, schema):
            if "items" in form:
                yield from keys(schema, form["items"], f"{prefix}{name}.0.")


def bounds(node: Schema) -> str:
    """Return the bounds of a number, or how many values a list has to have; empty without any."""
    if node.get("minItems") and node.get("type") == "array":
        return "a list of at least one value"
    said = (
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
    )
    return " and ".join(f"{words} {node[name]}" for name, words in said if name in node)


def accepted(node: Schema, schema: Schema) -> str:
    """Return in words which values a setting takes."""
    node = resolved(node, schema)
    if "anyOf" in node:
        forms = [each for each in node["anyOf"] if each.get("type") != "null"]
        if len(forms) == 2 and forms[1].get("items") == forms[0]:
            return f"{accepted(forms[0], schema)}, or a list of such"
        return " or ".join(dict.fromkeys(accepted(each, schema) for each in forms))
    if "enum" in node:
        return f"one of {', '.join(map(str, node['enum']))}"
    kind = node.get("type")
    if kind in ("integer", "number"):
        limits = bounds(node)
        return f"a {'whole ' if kind == 'integer' else ''}number{' ' if limits else ''}{limits}"
    if kind == "object" and "properties" in node:
        return f"the keys {', '.join(node['properties'])}"
    if kind == "array":
        return f"a list: {accepted(node['items'], schema)}{', at least one' if node.get('minItems') else ''}"
    if kind == "string" and node.get("format") == "path":
        return "a path"
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        names = node.get("propertyNames", {}).get("enum", ())
        of = f" of {', '.join(names)}" if names else ""
        return f"keys{of}, each with {accepted(node['additionalProperties'], schema)}"
    return WORDS.get(str(kind), "another value")
