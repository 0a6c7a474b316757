"""The teacher beside the student: a second model repository, put together when the server starts.

The teacher is not part of the distribution (its weights are large), and Triton loads every model of a repository or
none. So the teacher's configurations lie in a repository of their own, ``teacher_repository``, without weights; an
exported teacher brings the files of :data:`EXPORTED`, and both are joined by links in the server's workspace.
"""

from __future__ import annotations

from pathlib import Path

from distillex_matcher import FeatureLayout, LayoutError

from distillex_serving.locations import teacher_configurations
from distillex_serving.preconditions import PreconditionError

EXPORTED = (
    "teacher/1/model.onnx",
    "teacher/1/features.json",
    "teacher/1/vocabulary.txt",
    "decode_teacher/1/crf.json",
)
"""What ``distillex export TEACHER -o DIR`` writes, relative to DIR."""


def compose_teacher_repository(exported: Path, repository: Path, target: Path) -> Path:
    """Build a repository of links to the teacher's configurations and to an exported teacher.

    Parameters
    ----------
    exported
        Folder that ``distillex export TEACHER -o DIR`` wrote.
    repository
        The student's model repository, whose ``preprocess`` the teacher shares.
    target
        Folder to create.

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    PreconditionError
        For a missing file, or a teacher that was trained on other features than ``preprocess`` computes.
    """
    for name in EXPORTED:
        if not (exported / name).is_file():
            raise PreconditionError(
                f"--teacher {exported}: {name} is missing; 'distillex export TEACHER -o {exported}' writes it"
            )
    _check_layout(exported, repository)
    configurations = teacher_configurations()
    for path in configurations.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            _link(path, target / path.relative_to(configurations))
    for name in EXPORTED:
        _link(exported / name, target / name)
    return target


def _check_layout(exported: Path, repository: Path) -> None:
    try:
        teacher = FeatureLayout.load(exported / "teacher" / "1")
        served = FeatureLayout.load(repository / "preprocess" / "1")
    except LayoutError as error:
        raise PreconditionError(f"--teacher {exported}: {error}") from None
    for field in ("vocabulary", "types", "word_hash_size", "words_per_slot"):
        theirs, ours = getattr(teacher, field), getattr(served, field)
        if theirs != ours and not (field == "word_hash_size" and teacher.tells_words_of(served)):
            found = (
                f"{len(theirs):,} and {len(ours):,} entries" if isinstance(theirs, tuple) else f"{theirs} and {ours}"
            )
            raise PreconditionError(
                f"--teacher {exported}: its {field} differs from {repository / 'preprocess'} ({found}); teacher and "
                "student share one preprocess, so they must have been trained with the same features"
            )


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())
