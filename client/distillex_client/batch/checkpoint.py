"""The checkpoint of a run, from which ``--resume`` continues."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distillex_client.batch.durable import write_durably
from distillex_client.batch.fingerprint import Fingerprint
from distillex_client.errors import WrongUse

FORMAT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A moment at which all that was read was also written."""

    settings: Mapping[str, Any]
    """What has to be the same for the output to be the same: inputs, formats, lexicon."""
    records: int
    """Of the input, good and bad."""
    bad: int
    entities: int
    position: float
    """Part of the input read."""
    output: Mapping[str, Any]
    """Where the output stands, as the output itself puts it."""
    bad_bytes: int
    """Length of the side file."""
    inputs: Sequence[Fingerprint | None] = ()
    """What was read of the inputs, one after the other."""
    complete: bool = False
    """Everything is extracted; the files have to get their names."""

    def save(self, path: Path) -> None:
        """Replace the checkpoint file in one step."""
        content = json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)
        write_durably(path, content.encode("utf-8", "surrogateescape"))

    @staticmethod
    def load(path: Path) -> Checkpoint:
        """Read it.

        Raises
        ------
        WrongUse
            When it is not a checkpoint of this version.
        """
        try:
            value = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
            if value.pop("format") != FORMAT:
                raise ValueError("another format")
            read = tuple(None if each is None else Fingerprint(**each) for each in value.pop("inputs"))
            return Checkpoint(**value, inputs=read)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WrongUse(f"{path} is not a checkpoint of this version ({error}); delete it to start again") from error

    def check_settings(self, settings: Mapping[str, Any], path: Path) -> None:
        """Refuse to mix two runs.

        Raises
        ------
        WrongUse
            When a setting differs; names it with both values.
        """
        for name, value in settings.items():
            before, now = self.settings.get(name), value
            if before == now:
                continue
            if isinstance(before, list) and isinstance(now, list):
                # Of thousands of files, the first that differs.
                index = next(i for i in range(max(len(before), len(now))) if before[i : i + 1] != now[i : i + 1])
                name, before, now = f"{name} number {index + 1}", before[index : index + 1], now[index : index + 1]
            raise WrongUse(
                f"the unfinished run had {name} {before!r}, this one has {now!r}; "
                f"give the same, or delete {path} to start again"
            )
