"""Put a Triton model repository together: the shipped configurations, and the files of the models to serve.

``model_repository/`` holds configurations and nothing of any model; an exported model is one flat folder. What Triton
wants, a folder a model with its configuration and its files, is made when it is needed: of links in the server's
workspace, or of copies for a Triton of one's own.
"""

from __future__ import annotations

import enum
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from distillex_client.core import SENTENCE_PERIODS
from distillex_matcher import CrfParameters, FeatureLayout, LayoutError
from distillex_matcher.exported import CRF_FILE, FILES_BESIDE, GPU_NETWORK_FILE, NETWORK_FILE, PLAN_FILE

from distillex_serving.errors import PreconditionError

EXTRACTOR, PREPROCESS, STUDENT, DECODE, LEXICONS = "extractor", "preprocess", "student", "decode", "lexicons"
TEACHER_NAMES = {
    EXTRACTOR: "extractor_teacher",
    PREPROCESS: "preprocess_teacher",
    STUDENT: "teacher",
    DECODE: "decode_teacher",
}
"""How the models of a teacher are called, which is served beside a student with the student's configurations."""
OWN_CONFIGURATION = "config.pbtxt"
PERIODS_PARAMETER = (
    "\n# The model's layout says so: clients cut documents after periods of Latin text too.\n"
    f'parameters {{ key: "{SENTENCE_PERIODS}"  value: {{ string_value: "true" }} }}\n'
)
_NAME = re.compile(r'^(\s*(?:model_)?name: ")(\w+)(")', re.MULTILINE)


class Layout(str, enum.Enum):
    """Into which models the pipeline is divided, and what runs the network."""

    FUSED = "fused"
    """One Python model does it all, the network on ONNX Runtime."""
    GPU = "gpu"
    """The same, the network on a GPU."""
    ENSEMBLE = "ensemble"
    """Three models, the network's in the Python backend."""
    ONNXRUNTIME = "onnxruntime"
    """Three models, the network in Triton's own ONNX Runtime backend."""
    TENSORRT = "tensorrt"
    """Three models, the network in Triton's TensorRT backend."""


_PARTS = {PREPROCESS: OWN_CONFIGURATION, DECODE: OWN_CONFIGURATION, EXTRACTOR: OWN_CONFIGURATION}
CONFIGURATIONS: Mapping[Layout, Mapping[str, str]] = {
    Layout.FUSED: {EXTRACTOR: "configs/cpu.pbtxt"},
    Layout.GPU: {EXTRACTOR: "configs/gpu.pbtxt"},
    Layout.ENSEMBLE: {**_PARTS, STUDENT: "configs/cpu.pbtxt"},
    Layout.ONNXRUNTIME: {**_PARTS, STUDENT: "configs/onnxruntime.pbtxt"},
    Layout.TENSORRT: {**_PARTS, STUDENT: OWN_CONFIGURATION},
}
"""The models of a layout, each with its configuration's place in its folder."""
NETWORKS = {Layout.GPU: GPU_NETWORK_FILE, Layout.TENSORRT: PLAN_FILE}
"""The file of the network that a layout runs, where it is not ``model.onnx``."""


def link(source: Path, target: Path) -> None:
    """Let ``target`` be another name of ``source``."""
    target.symlink_to(source.resolve())


def copy(source: Path, target: Path) -> None:
    """Copy a file."""
    shutil.copyfile(source, target)


def compose(
    target: Path,
    *,
    configurations: Path,
    student: Path,
    teacher: Path | None = None,
    layout: Layout = Layout.FUSED,
    parameters: Mapping[str, str] | None = None,
    place: Callable[[Path, Path], None] = link,
) -> None:
    """Fill a folder with a model repository.

    Parameters
    ----------
    target
        Is created.
    configurations
        Like ``model_repository/``: of each model ``config.pbtxt`` and ``configs/``, ``1/model.py``, ``warmup/``.
    student, teacher
        Folders of exported models. The teacher's models have names of their own, and the student's configurations.
    layout
        Which models.
    parameters
        Values for parameters of ``extractor``, and of a teacher's, in place of those in the configuration.
    place
        Puts a file into the repository.

    Raises
    ------
    PreconditionError
        Where a configuration, a model's file or a parameter is missing.
    """
    for model, configuration in {**CONFIGURATIONS[layout], LEXICONS: OWN_CONFIGURATION}.items():
        _add(target / model, configurations / model, configuration, student, layout, place)
        if teacher is not None and model in TEACHER_NAMES:
            folder = target / TEACHER_NAMES[model]
            _add(folder, configurations / model, configuration, teacher, layout, place)
            written = folder / OWN_CONFIGURATION
            written.write_text(as_teacher(written.read_text(encoding="utf-8")), encoding="utf-8")
    if parameters:
        for model in (EXTRACTOR, *((TEACHER_NAMES[EXTRACTOR],) if teacher is not None else ())):
            written = target / model / OWN_CONFIGURATION
            text = written.read_text(encoding="utf-8")
            for name, value in parameters.items():
                text = _with_parameter(text, name, value, configurations / EXTRACTOR)
            written.write_text(text, encoding="utf-8")


def network_of(layout: Layout) -> str:
    """Return the file of the network that a layout runs."""
    return NETWORKS.get(layout, NETWORK_FILE)


def as_teacher(configuration: str) -> str:
    """Return a student's configuration with the names of the teacher's models."""
    return _NAME.sub(lambda found: found[1] + TEACHER_NAMES.get(found[2], found[2]) + found[3], configuration)


def _cuts_at_periods(model: Path) -> bool:
    """Tell whether the documents of a model are cut after periods too, which its clients have to know."""
    try:
        return FeatureLayout.load(model).text.sentence_periods
    except LayoutError as error:
        raise PreconditionError(str(error)) from None


def _with_label_count(configuration: str, model: Path) -> str:
    """Return a configuration with the number of labels of EMISSIONS, which Triton's ONNX Runtime backend wants."""
    try:
        count = len(CrfParameters.load(model / CRF_FILE).start)
    except LayoutError as error:
        raise PreconditionError(str(error)) from None
    changed, found = re.subn(r'(name: "EMISSIONS".*dims: \[ -1, )-1', rf"\g<1>{count}", configuration)
    if found != 1:
        raise PreconditionError("the configuration of 'student' has no dims: [ -1, -1 ] of EMISSIONS")
    return changed


def _with_parameter(configuration: str, name: str, value: str, place: Path) -> str:
    """Return a configuration with another value of a parameter."""
    pattern = re.compile(rf'(key:\s*"{name}"\s*value:\s*\{{\s*string_value:\s*)"[^"]*"')
    changed, found = pattern.subn(lambda match: f'{match[1]}"{value}"', configuration)
    if found != 1:
        raise PreconditionError(f"{place}: its configuration has no parameter {name!r}, which is to be set")
    return changed


def _add(
    folder: Path, source: Path, configuration: str, model: Path, layout: Layout, place: Callable[[Path, Path], None]
) -> None:
    if not (source / configuration).is_file():
        raise PreconditionError(f"{source / configuration}: missing; the layout {layout.value!r} needs it")
    (folder / "1").mkdir(parents=True)
    shutil.copyfile(source / configuration, folder / OWN_CONFIGURATION)
    for part in ("1", "warmup"):
        for file in source.glob(f"{part}/*"):
            if file.is_file():
                (folder / part).mkdir(exist_ok=True)
                place(file, folder / part / file.name)
    runs_network = source.name == (EXTRACTOR if layout in (Layout.FUSED, Layout.GPU) else STUDENT)
    for name in (*((network_of(layout),) if runs_network else ()), *FILES_BESIDE):
        if not (model / name).is_file():
            raise PreconditionError(f"{model / name}: missing; 'distillex export' writes it")
        place(model / name, folder / "1" / name)
    written = folder / OWN_CONFIGURATION
    if source.name == EXTRACTOR and _cuts_at_periods(model):
        written.write_text(written.read_text(encoding="utf-8") + PERIODS_PARAMETER, encoding="utf-8")
    if layout is Layout.ONNXRUNTIME and runs_network:
        written.write_text(_with_label_count(written.read_text(encoding="utf-8"), model), encoding="utf-8")
