"""Open an exported model: the files of one folder, checked to belong together.

A network means nothing without the layout by which its features are made and the CRF that reads its emissions. They are
files of their own: beside another model's network they would give wrong answers, or an error a request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_matcher.errors import LayoutError
from distillex_matcher.layout import FEATURES_FILE, VOCABULARY_FILE, CrfParameters, FeatureLayout

METADATA_KEY = "distillex"
"""Key in the ONNX file's metadata of what :func:`describe` returns."""
NETWORK_FILE = "model.onnx"
PLAN_FILE = "model.plan"
"""The network for TensorRT."""
RTX_PLAN_FILE = "model.rtx"
"""The network for TensorRT for RTX."""
PLAN_FILES = tuple(f"{plan}{suffix}" for plan in (PLAN_FILE, RTX_PLAN_FILE) for suffix in ("", ".onnx", ".json"))
"""Plans, with what each was built from and what it is for."""
GPU_NETWORK_FILE = "model.gpu.onnx"
"""The network for GPUs, in float16 or float32: ``model.onnx`` is in the form of a CPU, with its 8-bit numbers."""
CRF_FILE = "crf.json"
FILES_BESIDE = (FEATURES_FILE, VOCABULARY_FILE, CRF_FILE)
EXPORTED_FILES = (NETWORK_FILE, *FILES_BESIDE)
"""What ``distillex export MODEL -o FOLDER`` writes, and all that extraction reads of a model."""
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TRAINED_FILES = (WEIGHTS_FILE, CONFIG_FILE, FEATURES_FILE, VOCABULARY_FILE)
"""What training writes of a model, and PyTorch reads; the first makes a folder that of a trained model."""


@dataclass(frozen=True)
class NetworkSizes:
    """What a network says about the files that it needs; None if it says nothing."""

    vocabulary: int | None = None
    """Rows of the table of tokens."""
    types: int | None = None
    """Rows of the table of lexicon types, without that of no type."""
    words_per_slot: int | None = None
    labels: int | None = None


@dataclass(frozen=True)
class ExportedFiles:
    """The layout and the CRF beside a network."""

    network: Path
    layout: FeatureLayout
    crf: CrfParameters

    @staticmethod
    def beside(network: Path) -> ExportedFiles:
        """Read them.

        Parameters
        ----------
        network
            ``FOLDER/model.onnx`` or another file of that folder, such as ``model.plan``; it need not be there yet.

        Raises
        ------
        LayoutError
            For a missing or wrong file, for a layout and a CRF of two models, and for the shape of earlier versions.
        """
        folder = network.parent
        refuse_former_shape(folder)
        layout, crf = FeatureLayout.load(folder), CrfParameters.load(folder / CRF_FILE)
        _check_entity_types(crf, folder / CRF_FILE, layout, folder / FEATURES_FILE)
        return ExportedFiles(network, layout, crf)

    def check(self, metadata: Mapping[str, str], sizes: NetworkSizes) -> None:
        """Check that they are those of the network.

        Parameters
        ----------
        metadata
            Of the ONNX file. Files exported by earlier versions have no description there.
        sizes
            What the network says.

        Raises
        ------
        LayoutError
            For another model's files; the message names both files and both values.
        """
        theirs = json.loads(describe(self.layout, self.crf.entity_types, self.crf))
        ours = json.loads(metadata.get(METADATA_KEY, "{}"))
        folder = self.network.parent
        found_in = {"vocabulary": VOCABULARY_FILE, "entity_types": CRF_FILE, "crf": CRF_FILE}
        for field, value in theirs.items():
            if field in ours and ours[field] != value:
                other = folder / found_in.get(field, FEATURES_FILE)
                raise LayoutError(_two_models(self.network, other, field, ours[field], value))
        labels = 1 + 4 * len(self.crf.entity_types)
        for what, own, name, size in (
            ("tokens", sizes.vocabulary, VOCABULARY_FILE, len(self.layout.vocabulary)),
            ("types", sizes.types, FEATURES_FILE, len(self.layout.types)),
            ("words_per_slot", sizes.words_per_slot, FEATURES_FILE, self.layout.words_per_slot),
            ("labels", sizes.labels, CRF_FILE, labels),
        ):
            if own is not None and own != size:
                raise LayoutError(_two_models(self.network, folder / name, what, own, size))


def refuse_former_shape(folder: Path) -> None:
    """Say of a folder of an earlier version what has changed since.

    Raises
    ------
    LayoutError
        For a folder with ``student/1/model.onnx``, or for that network's own.
    """
    if (folder / CRF_FILE).exists():
        return
    former = [kind / "1" / NETWORK_FILE for kind in map(Path, ("student", "teacher", "serving/student"))]
    for network in former:
        if (folder / network).exists() or folder.absolute().parts[-2:] == network.parent.parts[-2:]:
            raise LayoutError(
                f"{folder.resolve()} was exported by an earlier version ({network}): an exported model is now one flat "
                f"folder of {', '.join(EXPORTED_FILES)}; export it again ('distillex export MODEL -o FOLDER'), or move "
                "its files into one"
            )


def describe(layout: FeatureLayout, entity_types: tuple[str, ...], crf: CrfParameters | None = None) -> str:
    """Return what a network's metadata says of the files that belong to it, as JSON.

    The buckets are left out: a network runs at any length. Of a CRF that is not given only the types are said.
    """
    tokens = hashlib.sha256("\n".join(layout.vocabulary).encode()).hexdigest()
    description: dict[str, Any] = {
        "entity_types": list(entity_types),
        "types": list(layout.types),
        "vocabulary": f"{len(layout.vocabulary)} tokens, SHA-256 {tokens[:16]}",
        "word_hash_size": layout.word_hash_size,
        "words_per_slot": layout.words_per_slot,
        "text": {"word_boundaries": layout.text.word_boundaries, "lowercase": layout.text.lowercase},
    }
    if crf is not None:
        scores = json.dumps([crf.transitions, crf.start, crf.end])
        description["crf"] = f"scores of SHA-256 {hashlib.sha256(scores.encode()).hexdigest()[:16]}"
    return json.dumps(description, ensure_ascii=False)


def _check_entity_types(crf: CrfParameters, crf_path: Path, layout: FeatureLayout, layout_path: Path) -> None:
    unknown = [kind for kind in crf.entity_types if kind not in layout.types]
    if unknown:
        known = ", ".join(layout.types[-len(crf.entity_types) :])
        raise LayoutError(
            f"{crf_path.resolve()} has the entity types {', '.join(crf.entity_types)}; {layout_path.resolve()} does "
            f"not know {', '.join(unknown)} (its last types: {known}). {MIXED}"
        )


MIXED = (
    "The files are of two models: export one model with all its files ('distillex export MODEL -o DIR'), or put back "
    "the file that was replaced"
)


def _two_models(network: Path, file: Path, what: str, own: object, other: object) -> str:
    mine, theirs = (", ".join(map(str, value)) if isinstance(value, list) else value for value in (own, other))
    # A server's repository is made of links: named are the files that somebody put there.
    return f"{network.resolve()} was made for {what} {mine}; {file.resolve()} has {theirs}. {MIXED}"
