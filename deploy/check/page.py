"""The commands of docs/how-to/deploy.md: the files that they name are there, and our own programs take them."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from own_commands import APPLICATIONS, problem_of
from tools import Tools

PAGE = Path("docs/how-to/deploy.md")
IMAGE = re.compile(r"(?:REGISTRY/)?distillex:\w+")
"""The entry point of our images is the first program."""
REPOSITORY = re.compile(r"(?:deploy|models)(?:/[\w.-]+)+/?")
MADE = "deploy/compose/secrets/"
"""What commands of the page write."""
_DIVIDERS = ("&&", "|", ">", "<")


@dataclass(frozen=True)
class Command:
    """One command of a block."""

    words: list[str]
    variables: set[str]
    """Those that are set for it."""


def check_commands(root: Path, _: Tools) -> list[str]:
    """Look at every command in the blocks of the page, and at the variables that they set."""
    text = (root / PAGE).read_text(encoding="utf-8")
    commands = list(commands_of(text))
    problems = [problem for command in commands for problem in _problems(root, command.words)]
    first_cells = re.findall(r"^\|([^|]+)\|", text, re.MULTILINE)
    explained = set(re.findall(r"`(DISTILLEX_\w+)`", " ".join(first_cells)))
    used = {name for command in commands for name in command.variables if name.startswith("DISTILLEX_")}
    problems += [f"the variable {name} is explained in no table" for name in sorted(used - explained)]
    return [f"{PAGE.name}: {problem}" for problem in problems]


def commands_of(text: str) -> Iterator[Command]:
    """Yield the commands of a page's blocks of the language bash."""
    for block in re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words: list[str] = []
            for word in [*shlex.split(line, comments=True), "&&"]:
                if word not in _DIVIDERS:
                    words.append(word)
                elif words:
                    variables = [each for each in words if re.match(r"[A-Z_]+=", each)]
                    yield Command(words[len(variables) :], {each.partition("=")[0] for each in variables})
                    words = []


def _problems(root: Path, words: list[str]) -> Iterator[str]:
    for word in words:
        path = word.rpartition("=")[2]
        if REPOSITORY.fullmatch(path) and not (root / path).exists() and not path.startswith(MADE):
            yield f"{path} is not there"
    own = next((place for place, word in enumerate(words) if IMAGE.fullmatch(word)), None)
    if words[:2] == ["docker", "run"] and own is not None:
        words = ["distillex", *words[own + 1 :]]
    if words and words[0] in APPLICATIONS and (problem := problem_of(words[1:], words[0])):
        yield problem
    if words[:2] == ["docker", "compose"]:
        yield from _profile_problems(root, words)


def _profile_problems(root: Path, words: list[str]) -> Iterator[str]:
    options = list(itertools.pairwise(words))
    files = [root / value for option, value in options if option == "--file"]
    services = [
        each for file in files for each in yaml.safe_load(file.read_text(encoding="utf-8"))["services"].values()
    ]
    there = {profile for each in services for profile in each.get("profiles", ())}
    for option, value in options:
        if option == "--profile" and value not in there:
            yield f"no service has the profile {value}"
