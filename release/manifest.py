"""Write models/manifest.toml anew: the files of each model with bytes and SHA-256, as they lie there.

Licence, teacher and scores are written by hand, from the model's card, and stay; a model without them is refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from distillex.errors import ManifestError
from distillex.model_manifest import MANIFEST_FILE, ManifestEntry, describe_files, read_manifest

MODELS = Path(__file__).resolve().parents[1] / "models"
HEAD = """# The shipped models. Licence, teacher and scores are written by hand, from each model's card (README.md);
# `make manifest` writes the files. F1 is that of the shipped form, with the base lexicon, strict spans.
"""


def manifest(models: Path) -> str:
    """Return the text of a folder's manifest, whatever files its present one names.

    Raises
    ------
    ManifestError
        Where the present manifest cannot be read, or lacks a model of the folder.
    """
    known = read_manifest(models)
    folders = sorted(path.name for path in models.iterdir() if path.is_dir())
    missing = [name for name in folders if name not in known]
    if missing:
        raise ManifestError(
            f"{models / MANIFEST_FILE}: {', '.join(missing)} missing; write licence, taught_by and scores there first"
        )
    return HEAD + "".join(_table(known[name], models / name) for name in folders)


def _table(entry: ManifestEntry, folder: Path) -> str:
    # A string of JSON is one of TOML.
    lines = [
        "",
        f"[{entry.name}]",
        f"licence = {json.dumps(entry.licence)}",
        f"taught_by = {json.dumps(entry.taught_by)}",
        "scores = [",
        *(
            f"  {{measure = {json.dumps(score.measure)}, value = {score.value}, set = {json.dumps(score.set)}}},"
            for score in entry.scores
        ),
        "]",
        f"[{entry.name}.files]",
        *(
            f'{json.dumps(name)} = {{bytes = {file.bytes}, sha256 = "{file.sha256}"}}'
            for name, file in describe_files(folder).items()
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        (MODELS / MANIFEST_FILE).write_text(manifest(MODELS), encoding="utf-8")
    except ManifestError as error:
        sys.exit(f"release/manifest.py: {error}")
