"""Options that may not change when a run is resumed."""

import pytest
from distillex_client.batch.checkpoint import Checkpoint
from distillex_client.batch.errors import WrongUse
from distillex_client.batch.options import BatchOptions


def test_a_run_that_is_resumed_names_another_side_file(tmp_path):
    before = BatchOptions(["a.txt"], bad_records=tmp_path / "a.jsonl").settings([])
    checkpoint = Checkpoint(before, 0, 0, 0, 0.0, {}, 0)
    now = BatchOptions(["a.txt"], bad_records=tmp_path / "b.jsonl").settings([])
    with pytest.raises(WrongUse, match=r"the unfinished run had --bad-records '.*a\.jsonl', this one has '.*b\.jsonl'"):
        checkpoint.check_settings(now, tmp_path / "out.checkpoint")
