"""What docs/project/stability.md calls stable is still there: names, arguments, tensors; and one version everywhere.

``python tests/test_stability.py`` records what is new. Run it where a release breaks something on purpose, too.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECORD = Path(__file__).with_name("stable_interface.json")
PACKAGES = ("distillex", "distillex_client", "distillex_matcher")
TENSORS = ("extractor", "lexicons")


def arguments(called):
    """Return argument → its default as text, null where it must be given; None for what shows no signature."""
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return None
    return {p.name: None if p.default is p.empty else repr(p.default) for p in parameters if p.name != "self"}


def names_of(package):
    module = importlib.import_module(package)
    found = {}
    for name in module.__all__:
        value = getattr(module, name)
        found[name] = arguments(value) if callable(value) else None
        if inspect.isclass(value):
            members = [member for member in vars(value) if not member.startswith("_")]
            found |= {
                f"{name}.{member}": arguments(getattr(value, member)) if callable(getattr(value, member)) else None
                for member in members
            }
    return found


def tensors_of(model):
    found = set()
    for configuration in (ROOT / "model_repository" / model).rglob("*.pbtxt"):
        text = configuration.read_text(encoding="utf-8")
        found |= set(re.findall(r'name: "([A-Z_]+)"\s+data_type: (TYPE_\w+)', text))
    return dict(sorted(found))


def interface():
    names = {package: names_of(package) for package in PACKAGES}
    return {"names": names, "tensors": {model: tensors_of(model) for model in TENSORS}}


def broken(before, now):
    """Name what was recorded and is no longer so."""
    faults = []
    for package, names in before["names"].items():
        for name, wanted in names.items():
            if name not in now["names"][package]:
                faults.append(f"{package}.{name} is gone")
                continue
            has = now["names"][package][name]
            if wanted is None or has is None:
                continue
            faults += [
                f"{package}.{name}({each}=) is gone or has another default"
                for each in wanted
                if each not in has or has[each] != wanted[each]
            ]
            faults += [
                f"{package}.{name}({each}) must be given, and is new"
                for each in has
                if each not in wanted and has[each] is None and each not in ("args", "kwargs")
            ]
    for model, tensors in before["tensors"].items():
        faults += [
            f"tensor {name} of {model} is not {kind}"
            for name, kind in tensors.items()
            if now["tensors"][model].get(name) != kind
        ]
    return faults


def test_what_is_stable_is_still_there():
    before = json.loads(RECORD.read_text(encoding="utf-8"))
    assert {"TEXT", "ENTITIES", "LEXICON"} <= set(before["tensors"]["extractor"])
    assert "lexicon" in before["names"]["distillex_client"]["Extractor.extract"]
    assert broken(before, interface()) == []


def test_what_breaks_is_named():
    before = {"names": {"p": {"f": {"a": None, "b": "1"}, "g": None}}, "tensors": {"m": {"TEXT": "TYPE_STRING"}}}
    now = {"names": {"p": {"f": {"a": None, "b": "2", "c": None, "d": "3"}}}, "tensors": {"m": {}}}
    assert broken(before, now) == [
        "p.f(b=) is gone or has another default",
        "p.f(c) must be given, and is new",
        "p.g is gone",
        "tensor TEXT of m is not TYPE_STRING",
    ]
    assert broken(before, before) == []


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the files that name the version."""
    monkeypatch.syspath_prepend(str(ROOT / "release"))
    import version

    for name in version.PLACES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return version, tmp_path


def test_every_place_names_one_version(tree):
    version, folder = tree
    assert len(set(version.versions(ROOT).values())) == 1
    version.set_version(folder, "7.8.9rc1")
    assert set(version.versions(folder).values()) == {"7.8.9rc1"}
    for name in version.PLACES:
        changed = (folder / name).read_text(encoding="utf-8").splitlines()
        same = (ROOT / name).read_text(encoding="utf-8").splitlines()
        assert {line for line in changed if line not in same} == {line for line in changed if "7.8.9rc1" in line}


@pytest.mark.parametrize("wrong", ["1.2", "v1.2.3", "1.2.3-beta", ""])
def test_what_is_no_version_is_refused(tree, wrong):
    version, folder = tree
    with pytest.raises(ValueError, match="no version; such as"):
        version.set_version(folder, wrong)
    done = subprocess.run([sys.executable, ROOT / "release/version.py", wrong], capture_output=True, text=True)
    assert (done.returncode, "no version" in done.stderr) == (1, True)


def test_a_place_that_names_no_version_is_named(tree):
    version, folder = tree
    (folder / "deploy/Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"deploy/Dockerfile: .* is found 0 times"):
        version.set_version(folder, "1.2.3")


if __name__ == "__main__":
    RECORD.write_text(json.dumps(interface(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
