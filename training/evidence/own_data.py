"""Students of one labelled file (training/configs/student-own-data.yaml), begun from scratch, for enough steps."""

from __future__ import annotations

from pathlib import Path

from distillex_training.config import StudentRun, read_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "training" / "configs" / "student-own-data.yaml"


def from_scratch(*, width: int = 160, head: int = 128) -> dict[str, str]:
    """Return settings over ``CONFIG``; by default the network is that of the shipped students."""
    return {
        "init_from": "null",
        "learning_rate": "2e-3",
        "student.width": str(width),
        "student.head": str(head),
        "student.bigram_hash_size": "131072",
        "student.collision_free_bigrams": "true",
    }


def epochs_of(sentences: int, *, fewest_steps: int, fewest_epochs: int) -> int:
    """Return how many epochs of so many sentences make at least so many steps."""
    batch_size = read_config(CONFIG, StudentRun).loop.batch_size
    return max(fewest_epochs, -(-fewest_steps * batch_size // sentences))
