"""A teacher with random weights, exported like a trained one: speed does not depend on what the weights are.

    python load_tests/random_teacher.py DIR [--layers 12] [--width 384]

The architecture is that of training/configs/teacher-cluener.yaml (a 12-layer BERT of width 384, lexicon fusion on its
output, a two-layer head, CRF), over the vocabulary and lexicon types of the shipped student. DIR is what
``distillex serve --teacher DIR`` takes. Reports that use it say "random weights".
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
from pathlib import Path

from distillex_matcher import CrfParameters, FeatureLayout
from distillex_matcher.exported import CRF_FILE, NETWORK_FILE

ROOT = Path(__file__).resolve().parents[1]
STUDENT = ROOT / "models" / "student-cluener"
SEED = 1


@dataclasses.dataclass(frozen=True)
class TeacherSizes:
    """Sizes of the encoder; the defaults are those of training/configs/teacher-cluener.yaml."""

    layers: int = 12
    width: int = 384
    heads: int = 12


def export_random_teacher(target: Path, sizes: TeacherSizes | None = None) -> None:
    """Write ``model.onnx``, ``features.json``, ``vocabulary.txt`` and ``crf.json``."""
    import torch
    from distillex_training.export.onnx import export_onnx
    from distillex_training.models import Teacher, TeacherConfig
    from distillex_training.models.crf import ConstrainedCrf

    sizes = sizes or TeacherSizes()
    layout = dataclasses.replace(FeatureLayout.load(STUDENT), word_hash_size=FeatureLayout.word_hash_size)
    entity_types = CrfParameters.load(STUDENT / CRF_FILE).entity_types
    torch.manual_seed(SEED)
    config = TeacherConfig(
        vocabulary=len(layout.vocabulary),
        lexicon_types=len(layout.types),
        word_hash_size=layout.word_hash_size,
        entity_types=entity_types,
        encoder_config={
            "model_type": "bert",
            "vocab_size": len(layout.vocabulary),
            "hidden_size": sizes.width,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "intermediate_size": 4 * sizes.width,
            "max_position_embeddings": 512,
            "pad_token_id": 0,
        },
    )
    crf = ConstrainedCrf(entity_types).parameters_for_serving()
    export_onnx(Teacher(config).eval(), layout, target / NETWORK_FILE, crf=crf)
    layout.save(target)
    crf.save(target / CRF_FILE)


def main() -> None:
    """Export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--layers", type=int, default=TeacherSizes.layers)
    parser.add_argument("--width", type=int, default=TeacherSizes.width)
    arguments = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(format="%(message)s")
    logging.getLogger("distillex").setLevel(logging.INFO)
    heads = TeacherSizes.heads if arguments.width % TeacherSizes.heads == 0 else 1
    export_random_teacher(arguments.target, TeacherSizes(arguments.layers, arguments.width, heads))


if __name__ == "__main__":
    main()
