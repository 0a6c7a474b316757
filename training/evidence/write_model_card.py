"""The model card of a student: what a person says of it, and what ``distillex evaluate --json`` measured.

    distillex evaluate models/student-general/model.onnx everyday_dev.jsonl --declaration training/corpora/everyday.yaml
        --json everyday.json --reliability everyday.svg
    python training/evidence/write_model_card.py models/student-general --measured everyday=everyday.json
        --measured CLUENER=cluener.json --reliability everyday.svg -o models/student-general/README.md

What a person says stands in ``training/evidence/cards/MODEL.yaml``; no score does. Scores are those with the base
lexicon; the first file's are shown by type and by domain too, and the diagram is of it. The diagram is copied beside
the card.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

from distillex_matcher.exported import NETWORK_FILE
from distillex_matcher.layout import write_atomically
from distillex_training.config import read_config
from distillex_training.config.values import NotEmpty, settings
from distillex_training.errors import ConfigError
from distillex_training.evaluation_report import BASE
from record_run import count_parameters

CARDS = Path(__file__).parent / "cards"
PICTURE = "reliability.svg"
LARGEST_PICTURE = 40_000
"""Bytes: it lies in every clone and package."""


@settings(frozen=True)
class EntityType:
    """A line on a type of the model."""

    type: str
    what: str
    example: str
    """A sentence, the entity between 【 and 】."""

    def __post_init__(self) -> None:
        """Check the example.

        Raises
        ------
        ValueError
            For one without an entity.
        """
        if not 0 <= self.example.find("【") < self.example.find("】") - 1:
            raise ValueError(f"example of {self.type}: {self.example!r} has no entity between 【 and 】")


@settings(frozen=True)
class Domains:
    """Domains whose mean F1 is reported."""

    name: str
    of: Annotated[tuple[str, ...], NotEmpty]


@settings(frozen=True)
class Card:
    """What a person says of a model."""

    summary: str
    types: Annotated[tuple[EntityType, ...], NotEmpty]
    use: str
    limits: str
    licence: str
    about: dict[str, Any] = field(default_factory=dict)
    """Rows of the first table: network, data, teacher, configuration, …"""
    means: tuple[Domains, ...] = ()
    notes: str = ""
    """On the scores: what was chosen on which data."""


def read_measured(path: Path) -> dict[str, Any]:
    """Return what was measured with the base lexicon.

    Raises
    ------
    ConfigError
        For a file that ``distillex evaluate --json`` did not write.
    """
    try:
        conditions = {each["lexicon"]: each for each in json.loads(path.read_text(encoding="utf-8"))}
        figures: dict[str, Any] = conditions[BASE]
        figures["model"], figures["per_type"], figures["faulty_share"]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{path}: not what 'distillex evaluate --json' writes") from None
    return figures


def row(*cells: object) -> str:
    """Return a line of a table; what would end a cell is escaped."""
    return "| " + " | ".join(" ".join(str(each).split()).replace("|", "\\|") for each in cells) + " |\n"


def header(*names: str) -> str:
    """Return the first two lines of a table."""
    return row(*names) + "|---" * len(names) + "|\n"


def scores(figures: Mapping[str, float]) -> list[str]:
    """Return F1, precision and recall as cells."""
    return [f"{figures[name]:.4f}" for name in ("f1", "precision", "recall")]


def parts(model: Path, card: Card, measured: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the parts of the card.

    Raises
    ------
    ConfigError
        Where the card's types are not the model's, the scores are another model's, or a domain was not measured.
    """
    types = json.loads((model / "config.json").read_text(encoding="utf-8"))["entity_types"]
    for name, each in measured.items():
        if model.name not in Path(each["model"]).parts:
            raise ConfigError(f"{name}: the scores are of {each['model']}, not of {model}")
    told = [each.type for each in card.types]
    if sorted(told) != sorted(types):
        raise ConfigError(f"types: {', '.join(sorted(told))}; the model's are {', '.join(sorted(types))}")
    yield f"# Model card: {model.name}\n\n{card.summary.strip()}\n"
    yield header("type", "what it is", "example") + "".join(
        row(f"`{each.type}`", each.what, each.example) for each in card.types
    )
    size = (model / NETWORK_FILE).stat().st_size
    facts = {"parameters": f"{count_parameters(model):,}", "file": f"`{NETWORK_FILE}`, {size / 1e6:.2f} MB"}
    yield header("", "") + "".join(row(*each) for each in (*facts.items(), *card.about.items()))
    yield (
        "## Scores\n\nStrict spans, with the base lexicon, by `distillex evaluate`. A sentence with a fault has an "
        "entity that is missed, or one that is none.\n"
    )
    yield header(
        *("data", "sentences", "F1", "precision", "recall", "sentences with a fault"),
        *("of those without an entity, one found in", "mean score", "calibration error"),
    ) + "".join(
        row(
            *(name, f"{each['sentences']:,}", *scores(each), f"{each['faulty_share']:.1%}"),
            f"{each['wrongly_filled_sentences']} of {each['sentences_without_entities']}",
            *(f"{each['mean_score']:.3f}", f"{each['calibration_error']:.3f}"),
        )
        for name, each in measured.items()
    )
    if card.notes:
        yield card.notes.strip() + "\n"
    name, first = next(iter(measured.items()))
    by_type = first["per_group"] or first["per_type"]
    yield f"### {name}, by type\n\n" + _table("type", by_type)
    if domains := first["per_domain"]:
        yield f"### {name}, by domain\n\n" + _table("domain", domains, "sentences", "with a fault")
        for group in card.means:
            if absent := [each for each in group.of if each not in domains]:
                known = ", ".join(domains)
                raise ConfigError(f"means: {group.name}: no domain {absent[0]!r} in {name}; it has {known}")
            f1 = mean(domains[each]["f1"] for each in group.of)
            yield f"Mean F1 of {group.name} ({', '.join(group.of)}): {f1:.4f}.\n"
    yield (
        f"### {name}, how far scores can be trusted\n\n![how often entities of a score are right]({PICTURE})\n\n"
        f"Scores say how often an entity is right: mean {first['mean_score']:.3f} at a precision of "
        f"{first['precision']:.3f}, expected calibration error {first['calibration_error']:.3f} in ten bins.\n"
    )
    for title, text in (("Intended use", card.use), ("Limits", card.limits), ("Licence", card.licence)):
        yield f"**{title}**: {text.strip()}\n"


def _table(title: str, rows: Mapping[str, Mapping[str, float]], *more: str) -> str:
    keys = ("sentences", "faulty_sentences")[: len(more)]
    lines = [
        row(name, *(scores(each) if each["gold"] else "–––"), each["gold"], *(each[key] for key in keys))
        for name, each in rows.items()
    ]
    return header(title, "F1", "precision", "recall", "gold", *more) + "".join(lines)


def read_picture(path: Path) -> str:
    """Return an SVG that is small enough.

    Raises
    ------
    ConfigError
        For a larger one, or another kind of file.
    """
    content = path.read_bytes()
    if b"<svg" not in content or len(content) >= LARGEST_PICTURE:
        raise ConfigError(f"{path}: {len(content):,} bytes; an SVG of less than {LARGEST_PICTURE:,} bytes is accepted")
    return content.decode("utf-8")


def main() -> None:
    """Write the card and its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model directory, exported")
    parser.add_argument("--card", type=Path, help=f"what a person says of it; by default {CARDS.name}/MODEL.yaml")
    parser.add_argument("--measured", action="append", required=True, metavar="NAME=FILE.json")
    parser.add_argument("--reliability", type=Path, required=True, help="SVG of the first file's")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    measured = {}
    for item in asked.measured:
        name, separator, file = item.partition("=")
        if not separator:
            parser.error(f"--measured: {item!r} is not NAME=FILE.json")
        measured[name] = Path(file)
    try:
        picture = read_picture(asked.reliability)
        card = read_config(asked.card or CARDS / f"{asked.model.name}.yaml", Card)
        text = "\n".join(parts(asked.model, card, {name: read_measured(path) for name, path in measured.items()}))
    except (ConfigError, OSError) as error:
        parser.error(str(error))
    write_atomically(asked.output, text)
    write_atomically(asked.output.parent / PICTURE, picture)
    print(f"written: {asked.output}, {asked.output.parent / PICTURE}")


if __name__ == "__main__":
    main()
