"""The short form of ``make deploy-check``: every file of deploy/, by its real tool."""

from __future__ import annotations

import pytest
from run import CHECKS


@pytest.mark.parametrize("name", [name for name, check in CHECKS.items() if check.short])
def test_what_is_deployed_is_accepted_by_its_tools(problems, name):
    assert problems(name) == []
