"""A teacher that knows more or fewer entity types than its student: its outputs in terms of the student's labels.

What it knows more is no entity to the student. What it does not know stays open: where it says that nothing is, the
student may find entities of those types.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from distillex_matcher import LabelScheme
from torch import Tensor

from distillex_training.teacher_cache import JoinedCaches, TeacherCache

OUTSIDE = 0


class Translation:
    """Labels of a teacher in terms of a student's."""

    def __init__(self, teacher_types: Sequence[str], student_types: Sequence[str]) -> None:
        theirs, ours = LabelScheme(teacher_types), LabelScheme(student_types)
        places = {label: i for i, label in enumerate(ours.labels)}
        self.known = frozenset(teacher_types) & frozenset(student_types)
        self.foreign = tuple(kind for kind in teacher_types if kind not in self.known)
        """Types of the teacher that the student lacks."""
        self.lacking = tuple(kind for kind in student_types if kind not in self.known)
        """Types of the student that the teacher lacks."""
        self.targets = torch.tensor([places.get(label, OUTSIDE) for label in theirs.labels])
        """For each label of the teacher the student's. *Shape:* [L of the teacher], int64."""
        self.labels = len(ours)
        told = set(self.targets.tolist())
        self.open = torch.tensor([i not in told for i in range(self.labels)])
        """The student's labels that the teacher lacks. *Shape:* [L], bool."""

    def marginals(self, theirs: Tensor) -> Tensor:
        """Add up what is one label of the student. *Shape:* [..., L of the teacher] → [..., L]."""
        return theirs.new_zeros(*theirs.shape[:-1], self.labels).index_add(-1, self.targets, theirs)


class TranslatedCache:
    """A teacher's cache in terms of the student's labels; of emissions there is no such thing."""

    def __init__(self, cache: TeacherCache | JoinedCaches, translation: Translation) -> None:
        self._cache = cache
        self.translation = translation

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def hidden_width(self) -> int:
        """Of the teacher."""
        return self._cache.hidden_width

    def text(self, row: int) -> str:
        """Return the raw sentence."""
        return self._cache.text(row)

    def spans(self, row: int, minimum: float = 0.0) -> list[tuple[int, int, str]]:
        """As :meth:`TeacherCache.spans`, of the types that the student has."""
        return [span for span in self._cache.spans(row, minimum) if span[2] in self.translation.known]

    def confident(self, minimum: float) -> list[int]:
        """As :meth:`TeacherCache.confident`."""
        return self._cache.confident(minimum)

    def marginals(self, rows: Sequence[int], characters: int) -> Tensor:
        """As :meth:`TeacherCache.marginals`."""
        return self.translation.marginals(self._cache.marginals(rows, characters))

    def emissions(self, rows: Sequence[int], characters: int) -> Tensor:
        """Refuse: :func:`~distillex_training.preflight.check_teachers` lets no loss ask for them."""
        raise NotImplementedError

    def hidden(self, rows: Sequence[int], characters: int) -> Tensor:
        """As :meth:`TeacherCache.hidden`."""
        return self._cache.hidden(rows, characters)

    def paths(self, rows: Sequence[int], characters: int) -> tuple[Tensor, Tensor]:
        """As :meth:`TeacherCache.paths`."""
        paths, scores = self._cache.paths(rows, characters)
        return self.translation.targets[paths], scores


Caches = TeacherCache | JoinedCaches | TranslatedCache
"""What teachers said of raw sentences."""
