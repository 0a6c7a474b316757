"""Write what the images install as a CycloneDX bill of materials: ``python deploy/check/sbom.py FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from programs import output
from tools import FOLDER, ToolMissingError, Tools

ROOT = Path(__file__).resolve().parents[2]


def bill_of_materials(root: Path, tools: Tools) -> str:
    """Return the bill of the locked requirements, validated against CycloneDX's schema."""
    cyclonedx = tools.python / "cyclonedx-py"
    options: list[str | Path] = [
        "--pyproject",
        root / "pyproject.toml",
        "--mc-type",
        "application",
        "--output-reproducible",
    ]
    return output([cyclonedx, "requirements", *options, "--validate", root / "deploy/requirements/image.txt"])


def check_sbom(root: Path, tools: Tools) -> list[str]:
    """Every locked requirement stands in the bill, with its version and hashes."""
    bill = json.loads(bill_of_materials(root, tools))
    found = {(each["name"], each["version"]) for each in bill["components"]}
    without = [each["name"] for each in bill["components"] if not _hashes(each)]
    lines = (root / "deploy/requirements/image.txt").read_text(encoding="utf-8").splitlines()
    locked = {tuple(line.split()[0].split("==")) for line in lines if "==" in line.split(" ")[0]}
    problems = [f"{name} {version} is not in the bill" for name, version in sorted(locked - found)]
    problems += [f"{name} has no hash in the bill" for name in without]
    return problems if bill["metadata"]["component"]["name"] == "distillex" else [*problems, "it is not distillex's"]


def _hashes(component: dict[str, object]) -> bool:
    references = component.get("externalReferences", [])
    return isinstance(references, list) and any(each.get("hashes") for each in references)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    try:
        bill = bill_of_materials(ROOT, Tools(FOLDER))
    except ToolMissingError as error:
        sys.exit(f"no bill of materials: {error}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(bill, encoding="utf-8")
    sys.stdout.write(f"{target}: {len(json.loads(bill)['components'])} packages\n")
