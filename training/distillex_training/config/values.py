"""The kinds of values that settings have, and what makes a class one of settings, which pydantic checks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic.dataclasses
from annotated_types import Ge, Gt, Le, Len, Lt
from distillex.locations import shipped_models
from distillex_matcher.exported import WEIGHTS_FILE
from pydantic import AfterValidator, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict, ValidationInfo
from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from dataclasses import dataclass as settings
else:
    settings = functools.partial(
        pydantic.dataclasses.dataclass,
        config=ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True),
    )
    """``@settings(frozen=True)``: a dataclass whose fields are checked; a text under a field describes it."""

__all__ = [
    "NAMES_CONTENT",
    "WITHOUT_EFFECT",
    "Count",
    "EncoderName",
    "HashSize",
    "InputFile",
    "Kept",
    "ModelDirectory",
    "NotEmpty",
    "OneAlone",
    "OutputPath",
    "Rate",
    "Seed",
    "SequenceLength",
    "Share",
    "ShareAboveZero",
    "ShareBelowOne",
    "Size",
    "Switch",
    "Weight",
    "WordLength",
    "settings",
]

Switch = Annotated[bool, Strict()]
Size = Annotated[int, Strict(), Ge(1)]
Count = Annotated[int, Strict(), Ge(0)]
HashSize = Annotated[int, Strict(), Ge(2)]
"""Row 0 of a hashed table is that of no word."""
WordLength = Annotated[int, Strict(), Ge(2)]
SequenceLength = Annotated[int, Strict(), Ge(3)]
Seed = Annotated[int, Strict(), Ge(0), Lt(2**63)]
Rate = Annotated[float, Strict(), Gt(0)]
Weight = Annotated[float, Strict(), Ge(0)]
Share = Annotated[float, Strict(), Ge(0), Le(1)]
ShareBelowOne = Annotated[float, Strict(), Ge(0), Lt(1)]
ShareAboveZero = Annotated[float, Strict(), Gt(0), Le(1)]
NotEmpty = Len(1)

WITHOUT_EFFECT = {"without_effect": True}
"""Metadata of a setting that decides nothing about the weights."""
NAMES_CONTENT = {"names_content": True}
"""Metadata of a text that may name a folder, as a path does."""


@dataclass(frozen=True)
class Kept:
    """What has to lie at a path before a run begins; a path without this is written to."""

    kind: str


def _beside(path: Path, info: ValidationInfo) -> Path:
    """Look beside the configuration file, then in the working folder."""
    folder = (info.context or {}).get("folder")
    return folder / path if folder is not None and (folder / path).exists() else path


def _beside_or_shipped(path: Path, info: ValidationInfo) -> Path:
    """Look for ``models/NAME`` among the trained models that come with distillex, too."""
    found = _beside(path, info)
    shipped = shipped_models() / path.name
    # An installed package has no weights that training could begin with.
    is_shipped = path.parent == Path("models") and (shipped / WEIGHTS_FILE).is_file()
    return shipped if is_shipped and not found.exists() else found


def _encoder(name: str, info: ValidationInfo) -> str:
    """Look for the folder that an encoder's name may mean as for a model's; any other name stays as it is."""
    found = _beside_or_shipped(Path(name), info)
    return str(found) if found.is_dir() else name


OutputPath = Annotated[Path, AfterValidator(_beside)]
InputFile = Annotated[Path, AfterValidator(_beside), Kept("file")]
ModelDirectory = Annotated[Path, AfterValidator(_beside_or_shipped), Kept("folder")]
EncoderName = Annotated[str, AfterValidator(_encoder)]
"""A name of the hub, or a folder."""


class OneAlone:
    """Of a list: one value may stand alone for a list of it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take a text or keys and values for a list of one."""
        return core_schema.no_info_before_validator_function(
            lambda value: [value] if isinstance(value, (str, dict)) else value, handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say so."""
        array = handler(schema)
        return {"anyOf": [array["items"], array]}
