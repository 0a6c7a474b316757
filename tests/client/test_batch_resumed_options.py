"""Options that may not change when a run is resumed."""

import pytest
from distillex_client.batch.checkpoint import Checkpoint
from distillex_client.batch.options import BatchOptions
from distillex_client.errors import WrongUse


def test_a_run_that_is_resumed_names_another_side_file(tmp_path):
    before = BatchOptions(["a.txt"], bad_records=tmp_path / "a.jsonl").settings([])
    checkpoint = Checkpoint(before, 0, 0, 0, 0.0, {}, 0)
    now = BatchOptions(["a.txt"], bad_records=tmp_path / "b.jsonl").settings([])
    with pytest.raises(WrongUse, match=r"the unfinished run had --bad-records '.*a\.jsonl', this one has '.*b\.jsonl'"):
        checkpoint.check_settings(now, tmp_path / "out.checkpoint")


def test_a_run_that_is_resumed_trusts_its_words_otherwise(tmp_path):
    words = {"张伟": {"type": "name", "trust": "insist"}}
    before = BatchOptions(["a.txt"], lexicon=words, trust="prefer")
    checkpoint = Checkpoint(before.settings([]), 0, 0, 0, 0.0, {}, 0)
    checkpoint.check_settings(before.settings([]), tmp_path / "out.checkpoint")
    for now, message in (
        (
            BatchOptions(["a.txt"], lexicon=words, trust=2.0),
            "the unfinished run had --trust 'prefer', this one has 2.0",
        ),
        (BatchOptions(["a.txt"], lexicon={"张伟": "name"}, trust="prefer"), r"had --lexicon \(checksum\)"),
    ):
        with pytest.raises(WrongUse, match=message):
            checkpoint.check_settings(now.settings([]), tmp_path / "out.checkpoint")
