"""The settings of the config.pbtxt files that affect speed: where each stands, how it is read and changed.

Configurations are changed as text, line by line, so that their comments stay; :func:`check` has Triton's own parser
read the outcome.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PREPROCESS = "preprocess/config.pbtxt"
STUDENT = "student/configs/cpu.pbtxt"
DECODE = "decode/config.pbtxt"
FILES = (PREPROCESS, STUDENT, DECODE)
FOLLOWERS = {STUDENT: "teacher/configs/cpu.pbtxt", DECODE: "decode_teacher/config.pbtxt"}
"""Files of teacher_repository/ that get the same settings, so that a comparison is one of models alone."""
UNLIMITED = "1000000"


class SettingError(ValueError):
    """A configuration does not have the expected form; the message names file and setting."""


@dataclass(frozen=True)
class Setting:
    """One setting of one file, and the values that the sweep tries."""

    file: str
    name: str
    read: Callable[[str], str]
    """Text of the file → the value now."""
    write: Callable[[str, str], str]
    """Text of the file, value → new text."""
    values: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name of the setting in reports."""
        return f"{self.file.partition('/')[0]}: {self.name}"


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
LARGEST_BATCH = r"^max_batch_size: (\d+)$"


def _parameter(key: str) -> str:
    return rf'key: "{key}" +value: \{{ string_value: "([^"]*)" \}}'


def _read_batching(text: str) -> tuple[str, str]:
    """Return (delay or off, preferred sizes or none)."""
    line = _only(BATCHING, text)[1]
    delay = re.search(r"max_queue_delay_microseconds: (\d+)", line)
    preferred = re.search(r"preferred_batch_size: \[ ([^\]]*) \]", line)
    if line.startswith("#"):
        return "off", "none"
    return (delay[1] if delay else "0"), (preferred[1] if preferred else "none")


def _write_batching(text: str, delay: str, preferred: str) -> str:
    parts = [f"preferred_batch_size: [ {preferred} ]"] if preferred != "none" else []
    parts += [f"max_queue_delay_microseconds: {delay}"] if delay not in ("off", "0") else []
    line = f"dynamic_batching {{ {'  '.join(parts)} }}".replace("{  }", "{ }")
    return _replace(BATCHING, text, f"# {line}" if delay == "off" else line)


def _write_delay(text: str, value: str) -> str:
    return _write_batching(text, value, _read_batching(text)[1])


def _write_preferred(text: str, value: str) -> str:
    return _write_batching(text, _read_batching(text)[0], value)


def _read_ragged(text: str) -> str:
    return "yes" if "allow_ragged_batch: true" in text else "no"


def _write_ragged(text: str, value: str) -> str:
    if value == _read_ragged(text):
        return text
    without = re.sub(r" +allow_ragged_batch: true", "", text)
    if value == "no":
        return without
    # Inputs alone, and of these the ones whose length varies.
    begin, end = without.index("input ["), without.index("output [")
    inputs = re.sub(r"(dims: \[ -1[^\]]*\]) *\}", r"\1  allow_ragged_batch: true }", without[begin:end])
    return without[:begin] + inputs + without[end:]


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
    return f"{_only(INSTANCES, text)[1]} x {_only(_parameter('intra_op_threads'), text)[1]}"


def _write_instances_and_threads(text: str, value: str) -> str:
    instances, threads = value.split(" x ")
    return _replace(_parameter("intra_op_threads"), _replace(INSTANCES, text, instances), threads)


def _batcher(file: str) -> list[Setting]:
    return [
        Setting(
            file,
            "queue delay, µs (off: no dynamic batching)",
            lambda text: _read_batching(text)[0],
            _write_delay,
            ("0", "off", "200"),
        ),
        Setting(
            file, "preferred batch sizes", lambda text: _read_batching(text)[1], _write_preferred, ("none", "8, 16")
        ),
        Setting(file, "max_batch_size", *_of(LARGEST_BATCH), ("64", "128")),
    ]


def _student_parameter(key: str, name: str, *values: str) -> Setting:
    return Setting(STUDENT, name, *_of(_parameter(key)), values)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        STUDENT,
        "instances x intra_op_threads (0: cores / instances)",
        _read_instances_and_threads,
        _write_instances_and_threads,
        ("1 x 0", "1 x 1", "2 x 0"),
    ),
    _student_parameter("allow_spinning", "allow_spinning", "0", "1"),
    _student_parameter("memory_arena", "memory_arena", "1", "0"),
    _student_parameter(
        "call_cost_tokens", f"call_cost_tokens ({UNLIMITED}: all rows in one run)", "32", "0", "128", UNLIMITED
    ),
    _student_parameter("most_tokens_per_run", "most_tokens_per_run", "4096", "1024", "16384"),
    *_batcher(STUDENT),
    Setting(STUDENT, "allow_ragged_batch", _read_ragged, _write_ragged, ("yes", "no")),
    Setting(PREPROCESS, "instances", *_of(INSTANCES), ("1", "2")),
    *_batcher(PREPROCESS),
    Setting(PREPROCESS, "model_warmup", _read_warm_up, _write_warm_up, ("yes", "no")),
    Setting(DECODE, "instances", *_of(INSTANCES), ("1", "2")),
    *_batcher(DECODE),
    Setting(DECODE, "allow_ragged_batch", _read_ragged, _write_ragged, ("yes", "no")),
)
"""In the order in which the sweep decides on them: what is chosen for one holds for those after it."""


def read_files(repository: Path) -> dict[str, str]:
    """Return the texts of the swept configurations by their path in the repository."""
    return {file: (repository / file).read_text(encoding="utf-8") for file in FILES}


def current_values(texts: Mapping[str, str]) -> dict[str, str]:
    """Return each setting's value now."""
    values = {}
    for setting in SETTINGS:
        try:
            values[setting.key] = setting.read(texts[setting.file])
        except SettingError as error:
            raise SettingError(f"{setting.file}, {setting.name}: {error}") from None
    return values


def with_value(texts: Mapping[str, str], setting: Setting, value: str) -> dict[str, str]:
    """Return the texts with one setting changed, checked by Triton's parser."""
    changed = setting.write(texts[setting.file], value)
    check(setting.file, changed)
    if setting.read(changed) != value:
        raise SettingError(f"{setting.file}, {setting.name}: {value!r} was written, {setting.read(changed)!r} is read")
    return {**texts, setting.file: changed}


def check(file: str, text: str) -> None:
    """Raise SettingError where Triton's parser refuses a configuration."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    try:
        text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise SettingError(f"{file}: {error}") from None
