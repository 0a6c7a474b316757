"""Commands on the lexicons of a directory, which the Triton model ``lexicons`` and the command line run alike."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from distillex_matcher import Lexicon
from distillex_matcher.errors import UnknownLexiconError
from distillex_matcher.lexicon_store import BASE_NAME, LexiconStore

from distillex.errors import RefusedError
from distillex.lexicon_rights import LexiconRights
from distillex.strict_json import parse_json

KEPT_VERSIONS = 20
"""The newest so many versions of a lexicon stay when one is pushed, where the push does not say another number."""
MOST_OWN = 100
"""Lexicons under the names that a caller may push."""
MOST_OWN_EVER = 1000
"""Such names, with those of removed lexicons: of each a number stays behind."""
FIELDS = {
    "push": {"name", "replace_base", "keep"},
    "list": set(),
    "rollback": {"name", "version"},
    "prune": {"name", "keep"},
    "remove": {"name"},
}
"""Of each action, beside "action" itself."""


def run_command(
    store: LexiconStore,
    command: dict[str, Any],
    content: bytes | None,
    check: Callable[[Lexicon], None],
    own: LexiconRights | None = None,
) -> dict[str, Any]:
    """Run a command of :func:`parse_command`; docs/how-to/lexicons.md has the results.

    Parameters
    ----------
    store
        The lexicons.
    command, content
        What to do; with a push, the bytes of a compiled lexicon.
    check
        Called with a lexicon that is pushed; raises to refuse it (``Featurizer.check_types``).
    own
        What a caller may change (:func:`check_right`); result and errors name no other lexicon. None: an
        administrator, who is told of all.

    Raises
    ------
    RefusedError, LexiconError
        Where it cannot be done; nothing is changed then.
    OSError
        Where the directory cannot be used.
    """
    if own is None:
        return _run(store, command, content, check)
    check_right(store, command, own)
    try:
        result = _run(store, command, content, check)
    except UnknownLexiconError as error:
        name = command["name"]
        if name in store.names():
            raise RefusedError(str(error)) from None
        # Removed since it was looked for. The store's words list what is installed, for administrators.
        raise _not_installed(name) from None
    if "lexicons" in result:
        result["lexicons"] = [line for line in result["lexicons"] if own.allow(line["name"])]
    return result


def _run(
    store: LexiconStore, command: dict[str, Any], content: bytes | None, check: Callable[[Lexicon], None]
) -> dict[str, Any]:
    action, name = command["action"], command.get("name", "")
    if action == "push":
        if content is None:
            raise RefusedError("the input CONTENT is missing")
        keep, replace_base = command.get("keep", KEPT_VERSIONS), command.get("replace_base", False)
        installed = store.install(name, content, check, replace_base=replace_base, keep=keep)
        removed = list(installed.removed)
        return {"name": name, "version": installed.version, "words": len(installed.lexicon), "removed": removed}
    if action == "rollback":
        return {"name": name, "version": store.rollback(name, command.get("version"))}
    if action == "prune":
        removed = store.prune(name, command["keep"])
        return {"name": name, "removed": removed, "versions": store.versions(name)}
    if action == "remove":
        return {"name": name, "removed": store.remove(name)}
    return {"lexicons": [dataclasses.asdict(line) for line in store.overview()]}


def changed(result: dict[str, Any], command: dict[str, Any]) -> str:
    """Return what a command did that changed a lexicon, for a log."""
    if "version" in result:
        return f"{command['action']} {result['name']}@{result['version']}"
    return f"{command['action']} {result['name']}, versions removed: {', '.join(map(str, result['removed'])) or 'none'}"


def check_right(store: LexiconStore, command: dict[str, Any], own: LexiconRights) -> None:
    """Refuse a command of :func:`parse_command` on a lexicon that is not the caller's, or one too many.

    The base one is nobody's.

    Raises
    ------
    RefusedError
        Names no lexicon that the caller did not name.
    """
    name = command.get("name")
    if name is None:
        return
    if name == BASE_NAME or not own.allow(name):
        theirs = ", ".join(own.patterns) or "none"
        raise RefusedError(f"this caller may not change the lexicon {_shown(name)}; it may change: {theirs}")
    installed = store.names()
    if name in installed:
        return
    if command["action"] != "push":
        raise _not_installed(name)
    if sum(own.allow(each) for each in installed if each != BASE_NAME) >= MOST_OWN:
        raise RefusedError(
            f"there are {MOST_OWN} lexicons already under the names that this caller may push, and no more are "
            "accepted: push one of them again, or remove one"
        )
    names = {*installed, *store.once_removed()}
    if name not in names and sum(own.allow(each) for each in names if each != BASE_NAME) >= MOST_OWN_EVER:
        raise RefusedError(
            f"{MOST_OWN_EVER} names that this caller may push have been used, those of removed lexicons among them, "
            "and no more are accepted: push under one of them"
        )


def parse_command(content: bytes) -> dict[str, Any]:
    """Read a COMMAND.

    Raises
    ------
    RefusedError
        Names what is wrong with it.
    """
    command: dict[str, Any] = parse_json(content, "COMMAND")
    if not isinstance(command, dict) or "action" not in command:
        raise RefusedError('COMMAND must be JSON like {"action": "push", "name": "finance"}')
    action = command["action"]
    fields = FIELDS.get(action) if isinstance(action, str) else None
    if fields is None:
        raise RefusedError(f"COMMAND: unknown action {_shown(action)}; {', '.join(FIELDS)} are accepted")
    for field in command.keys() - fields - {"action"}:
        raise RefusedError(
            f"COMMAND: {action} has no field {_shown(field)}; accepted: {', '.join(sorted(fields)) or 'none'}"
        )
    if "name" in fields and not isinstance(command.get("name"), str):
        raise RefusedError(f"COMMAND: the name {_shown(command.get('name'))} is not a string")
    for field in ("version", "keep"):
        value = command.get(field)
        wanted = field in fields and (value is not None or (action, field) == ("prune", "keep"))
        if wanted and not (type(value) is int and 0 < value < 10**9):
            raise RefusedError(f"COMMAND: {field} {_shown(value)} is not a whole number from 1 on")
    if not isinstance(command.get("replace_base", False), bool):
        raise RefusedError(f"COMMAND: replace_base {_shown(command['replace_base'])} is neither true nor false")
    return command


def _not_installed(name: str) -> RefusedError:
    return RefusedError(f"no lexicon {_shown(name)} is installed")


def _shown(value: object) -> str:
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"
