"""Models: emissions from features, a CRF on top, and their directory on disk."""

from distillex_training.config.student import StudentConfig
from distillex_training.config.teacher import TeacherConfig
from distillex_training.models.crf import ConstrainedCrf
from distillex_training.models.directory import load_model, save_model
from distillex_training.models.fusion import LexiconFusion
from distillex_training.models.student import Student
from distillex_training.models.teacher import Teacher

__all__ = [
    "ConstrainedCrf",
    "LexiconFusion",
    "Student",
    "StudentConfig",
    "Teacher",
    "TeacherConfig",
    "load_model",
    "save_model",
]
