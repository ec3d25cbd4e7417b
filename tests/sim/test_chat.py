"""A whole chat from a seed keeps its promises, and is the same one again in any process."""

import subprocess
import sys

import pytest

from trio_chat.testing import simulate
from trio_chat.testing.chat import drawn

PROGRAM = """
from trio_chat.testing import simulate
from trio_chat.testing.chat import drawn
for seed in {seeds}:
    print(simulate(seed, drawn).trace_hash)
"""
SAME = (0, 3, 5, 11)


@pytest.mark.seeds(60)
def test_a_chat_keeps_its_promises(seed: int) -> None:
    simulate(seed, drawn)


@pytest.mark.parametrize("found", [101_440])
def test_a_seed_that_has_found_a_bug_stays_found(found: int) -> None:
    """Two who went and came back at once: who came in between was not told of the second."""
    simulate(found, drawn)


@pytest.mark.parametrize("found", [9_113_657, 9_201_424])
def test_a_seed_that_has_found_a_fault_of_the_judge_passes(found: int) -> None:
    """A notice of a return is sent to a session that joined between the return and the notice."""
    simulate(found, drawn)


def hashes(hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(seeds=SAME)],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": hash_seed},
    )
    return done.stdout.split()


def test_a_chat_is_the_same_in_every_process() -> None:
    """Also where the order of a set of strings is another."""
    first = hashes("1")
    assert hashes("2") == first
    assert [simulate(seed, drawn).trace_hash for seed in SAME] == first, "and behind other runs"
    assert len(set(first)) == len(SAME), "different seeds are different runs"


@pytest.mark.seeds(3)
def test_what_a_plan_leaves_open_is_left_to_its_seed(seed: int) -> None:
    one, other = simulate(seed, drawn), simulate(seed, drawn)
    assert (one.trace_hash, one.value) == (other.trace_hash, other.value)
