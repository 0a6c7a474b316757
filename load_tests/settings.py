"""The settings of the served model that affect speed: how each is read from its configuration and changed in it.

The configuration is changed as text, line by line, so that its comments stay; :func:`check` has Triton's own parser
read the outcome.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = "extractor/configs/cpu.pbtxt"
"""In ``model_repository/``; a teacher beside the student is served with the same."""
UNLIMITED = "1000000"


class SettingError(ValueError):
    """The configuration does not have the expected form; the message names the setting."""


@dataclass(frozen=True)
class Setting:
    """One setting, and the values that the sweep tries."""

    name: str
    read: Callable[[str], str]
    """Text of the configuration → the value now."""
    write: Callable[[str, str], str]
    """Text of the configuration, value → new text."""
    values: tuple[str, ...]


def _only(pattern: str, text: str) -> re.Match[str]:
    found = list(re.finditer(pattern, text, re.MULTILINE | re.DOTALL))
    if len(found) != 1:
        raise SettingError(f"expected one place that looks like {pattern!r}, found {len(found)}")
    return found[0]


def _replace(pattern: str, text: str, value: str) -> str:
    found = _only(pattern, text)
    return text[: found.start(1)] + value + text[found.end(1) :]


def _of(pattern: str) -> tuple[Callable[[str], str], Callable[[str, str], str]]:
    """Reader and writer of what the pattern's group holds."""
    return (lambda text: _only(pattern, text)[1]), (lambda text, value: _replace(pattern, text, value))


INSTANCES = r"^instance_group \[ \{ kind: KIND_CPU  count: (\d+) \} \]"
BATCHING = r"^((?:# )?dynamic_batching \{[^\n]*\})$"


def _parameter(key: str) -> str:
    return rf'key: "{key}" +value: \{{ string_value: "([^"]*)" \}}'


def _read_batching(text: str) -> tuple[str, str]:
    """Return (delay or off, preferred sizes or none)."""
    line = _only(BATCHING, text)[1]
    delay = re.search(r"max_queue_delay_microseconds: (\d+)", line)
    preferred = re.search(r"preferred_batch_size: \[ ([^\]]*) \]", line)
    waits = "off" if line.startswith("#") else delay[1] if delay else "0"
    return waits, (preferred[1] if preferred else "none")


def _write_batching(text: str, delay: str, preferred: str) -> str:
    parts = [f"preferred_batch_size: [ {preferred} ]"] if preferred != "none" else []
    parts += [f"max_queue_delay_microseconds: {delay}"] if delay not in ("off", "0") else []
    line = f"dynamic_batching {{ {'  '.join(parts)} }}".replace("{  }", "{ }")
    return _replace(BATCHING, text, f"# {line}" if delay == "off" else line)


def _write_delay(text: str, value: str) -> str:
    return _write_batching(text, value, _read_batching(text)[1])


def _write_preferred(text: str, value: str) -> str:
    return _write_batching(text, _read_batching(text)[0], value)


def _read_warm_up(text: str) -> str:
    return "yes" if re.search(r"^model_warmup \[", text, re.MULTILINE) else "no"


def _write_warm_up(text: str, value: str) -> str:
    if value == _read_warm_up(text):
        return text
    found = _only(r"^((?:# )?model_warmup \[\n.*?^(?:# )?\]\n)", text)
    lines = found[1].splitlines()
    changed = [f"# {line}" if value == "no" else line.removeprefix("# ") for line in lines]
    return text[: found.start()] + "\n".join(changed) + "\n" + text[found.end() :]


def _read_instances_and_threads(text: str) -> str:
    return f"{_only(INSTANCES, text)[1]} x {_only(_parameter('threads'), text)[1]}"


def _write_instances_and_threads(text: str, value: str) -> str:
    instances, threads = value.split(" x ")
    return _replace(_parameter("threads"), _replace(INSTANCES, text, instances), threads)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "instances x threads (0: usable cores / instances)",
        _read_instances_and_threads,
        _write_instances_and_threads,
        ("1 x 0", "1 x 1", "2 x 0", "2 x 2"),
    ),
    Setting(
        f"call_cost_tokens ({UNLIMITED}: all rows in one run)",
        *_of(_parameter("call_cost_tokens")),
        ("32", "0", "128", UNLIMITED),
    ),
    Setting("most_tokens_per_run", *_of(_parameter("most_tokens_per_run")), ("4096", "1024", "16384")),
    Setting(
        "queue delay, µs (off: no dynamic batching)",
        lambda text: _read_batching(text)[0],
        _write_delay,
        ("0", "off", "200"),
    ),
    Setting("preferred batch sizes", lambda text: _read_batching(text)[1], _write_preferred, ("none", "8, 16")),
    Setting("model_warmup", _read_warm_up, _write_warm_up, ("yes", "no")),
)
"""In the order in which the sweep decides on them: what is chosen for one holds for those after it."""


def read_configuration(repository: Path) -> str:
    """Return the text of the swept configuration."""
    return (repository / CONFIGURATION).read_text(encoding="utf-8")


def current_values(text: str) -> dict[str, str]:
    """Return each setting's value now, by its name."""
    values = {}
    for setting in SETTINGS:
        try:
            values[setting.name] = setting.read(text)
        except SettingError as error:
            raise SettingError(f"{CONFIGURATION}, {setting.name}: {error}") from None
    return values


def with_value(text: str, setting: Setting, value: str) -> str:
    """Return the text with one setting changed, checked by Triton's parser."""
    changed = setting.write(text, value)
    check(changed)
    if setting.read(changed) != value:
        raise SettingError(f"{setting.name}: {value!r} was written, {setting.read(changed)!r} is read")
    return changed


def check(text: str) -> None:
    """Raise SettingError where Triton's parser refuses the configuration."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    try:
        text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise SettingError(f"{CONFIGURATION}: {error}") from None
