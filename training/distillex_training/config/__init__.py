"""Run configurations: one YAML file per published result, checked before anything heavy is imported."""

from distillex_training.config.augmentation import AugmentationConfig, EverydayConfig, SlotConfig
from distillex_training.config.data import Corpus, DataConfig, LabelSource, MentionLists, TrainingCorpus
from distillex_training.config.distillation import DistillationConfig
from distillex_training.config.loop import LoopConfig
from distillex_training.config.reading import read_config
from distillex_training.config.runs import PretrainRun, StudentRun, TeacherRun
from distillex_training.config.student import StudentConfig, StudentSizes
from distillex_training.config.teacher import TeacherConfig
from distillex_training.errors import ConfigError

__all__ = [
    "AugmentationConfig",
    "ConfigError",
    "Corpus",
    "DataConfig",
    "DistillationConfig",
    "EverydayConfig",
    "LabelSource",
    "LoopConfig",
    "MentionLists",
    "PretrainRun",
    "SlotConfig",
    "StudentConfig",
    "StudentRun",
    "StudentSizes",
    "TeacherConfig",
    "TeacherRun",
    "TrainingCorpus",
    "read_config",
]
