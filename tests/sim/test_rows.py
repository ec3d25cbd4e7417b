"""Rows of the table of faults, each with many seeds; what each of them is, is in stories.py."""

import pytest

from tests.sim.stories import STORIES


@pytest.mark.seeds(6)
@pytest.mark.parametrize("row", sorted(set(STORIES) - {"chat"}))
def test_what_is_owed_is_given(row: str, seed: int) -> None:
    STORIES[row](seed)
