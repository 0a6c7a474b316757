"""Print what extras and dependency groups of pyproject.toml ask for, a line a requirement.

``python release/requirements.py NAME…`` says what an environment of the source tree installs. An extra of one of the
two distributions may name extras of either. These are followed; the distributions themselves are left out, since they
lie in the source tree.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:  # pip, which is in every new environment, brings it along
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = {"distillex": ROOT, "distillex-client": ROOT / "client"}
_OWN = re.compile(r"(distillex(?:-client)?)(?:\[([\w, -]+)\])?(?:[=<>!~].*)?")


def read_project(folder: Path) -> dict[str, Any]:
    """Return a folder's pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(names: list[str]) -> list[str]:
    """Return what both distributions need, with extras or dependency groups of ``distillex`` by name, each once.

    Raises
    ------
    ValueError
        For a name that is neither an extra nor a group.
    """
    files = {name: read_project(folder) for name, folder in PROJECTS.items()}
    groups = files["distillex"].get("dependency-groups", {})
    found: dict[str, None] = {}
    open_extras = [("distillex", ""), ("distillex-client", "")]
    for name in names:
        if name in groups:
            found |= dict.fromkeys(groups[name])
        else:
            open_extras.append(("distillex", name))
    seen = set()
    while open_extras:
        distribution, extra = open_extras.pop()
        if (distribution, extra) in seen:
            continue
        seen.add((distribution, extra))
        project = files[distribution]["project"]
        extras = project["optional-dependencies"]
        if extra and extra not in extras:
            known = ", ".join(sorted([*extras, *groups]))
            raise ValueError(f"{extra!r}: {distribution} has no such extra or group; it has {known}")
        for requirement in extras[extra] if extra else project["dependencies"]:
            own = _OWN.fullmatch(requirement)
            if own is None:
                found[requirement] = None
            else:
                open_extras += [(own[1], each.strip()) for each in (own[2] or "").split(",") if each.strip()]
    return sorted(found)


if __name__ == "__main__":
    try:
        sys.stdout.write("".join(f"{line}\n" for line in requirements(sys.argv[1:])))
    except ValueError as error:
        sys.exit(f"release/requirements.py: {error}")
