"""Which student is served: the model repository's own, or the files of ``models/student-NAME/serving`` laid over it.

Such a folder is what ``distillex export MODEL -o models/student-NAME/serving`` writes: the student's network, its CRF,
its feature layout. The repository itself is never changed: the server gets a view of it, made of links.
"""

from __future__ import annotations

from pathlib import Path

from distillex_matcher import CrfParameters, LayoutError
from distillex_matcher.exported import ExportedFiles

from distillex_serving.locations import default_models_directory
from distillex_serving.preconditions import PreconditionError

DEFAULT_STUDENT = "cluener"
"""The student that ``model_repository`` itself holds."""
NETWORK = "student/1/model.onnx"
CRF_FILE = "decode/1/crf.json"
NEEDED_FILES = (NETWORK, CRF_FILE, "preprocess/1/features.json", "preprocess/1/vocabulary.txt")
STUDENT_FILES = (*NEEDED_FILES, "student/1/model.plan")
"""Everything that differs from one student to another."""


def known_students() -> dict[str, Path | None]:
    """Return the students by name, each with its serving folder; None for the one that the repository holds.

    Looked at are the models that come with distillex, then the folder ``models`` where the command runs.
    """
    students: dict[str, Path | None] = {DEFAULT_STUDENT: None}
    for models in (default_models_directory(), Path.cwd() / "models"):
        for folder in sorted(models.glob("student-*/serving")):
            students[folder.parent.name.removeprefix("student-")] = folder
    return students


def find_student(name: str) -> Path | None:
    """Return a student's serving folder; None for the one that the repository holds.

    Raises
    ------
    PreconditionError
        For an unknown name (lists the known ones), a folder that lacks a file, or one whose feature layout and CRF are
        of two models. Whether they are the network's own is checked when that is opened.
    """
    students = known_students()
    if name not in students:
        raise PreconditionError(
            f"unknown student {name!r}; known students: {', '.join(sorted(students))} (a folder "
            "models/student-NAME/serving, which 'distillex export MODEL -o models/student-NAME/serving' writes)"
        )
    folder = students[name]
    missing = [file for file in NEEDED_FILES if folder is not None and not (folder / file).exists()]
    if missing:
        raise PreconditionError(f"{folder}: {', '.join(missing)} missing; 'distillex export' writes these files")
    if folder is not None:
        try:
            ExportedFiles.beside(folder / NETWORK)
        except LayoutError as error:
            raise PreconditionError(str(error)) from None
    return folder


def entity_types(folder: Path) -> tuple[str, ...]:
    """Return the entity types of the student in a serving folder or repository.

    Raises
    ------
    LayoutError
        For a missing or wrong ``crf.json``.
    """
    return CrfParameters.load(folder / CRF_FILE).entity_types


def lay_over(repository: Path, student: Path, view: Path) -> None:
    """Fill the empty folder ``view`` with links to the repository's files, a student's files instead of its own."""
    sources = {
        file.relative_to(repository): file
        for file in repository.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    for name in STUDENT_FILES:
        # Also where the new student has none: a plan of another student must not be served in its name.
        sources.pop(Path(name), None)
        if (student / name).exists():
            sources[Path(name)] = student / name
    for folder in repository.rglob("*"):
        if folder.is_dir() and folder.name != "__pycache__":
            (view / folder.relative_to(repository)).mkdir(parents=True, exist_ok=True)
    for relative, source in sources.items():
        (view / relative).parent.mkdir(parents=True, exist_ok=True)
        (view / relative).symlink_to(source.resolve())
