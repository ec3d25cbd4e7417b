"""Run the stories for rows of the table of faults with many seeds; stories.py describes each."""

import pytest

from tests.sim.stories import STORIES


@pytest.mark.seeds(6)
@pytest.mark.parametrize("row", sorted(set(STORIES) - {"chat"}))
def test_a_story_keeps_the_promises(row: str, seed: int) -> None:
    STORIES[row](seed)
