"""`--seeds N` and `--seed K` choose the seeds of every story, and its mark does without them."""

import subprocess
import sys
from pathlib import Path

import pytest

STORY = Path(__file__).with_name("test_chat.py")
NAME = "test_a_chat_keeps_its_promises"


@pytest.mark.parametrize(
    ("options", "seeds"),
    [([], range(60)), (["--seeds", "3"], range(3)), (["--seed", "4711"], [4711])],
    ids=["none", "seeds", "seed"],
)
def test_the_seeds_are_those_asked_for(options: list[str], seeds: list[int]) -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", f"{STORY}::{NAME}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=STORY.parent.parent.parent)
    collected = [line for line in done.stdout.splitlines() if NAME in line]
    assert [line.rpartition("::")[2] for line in collected] == [f"{NAME}[seed {seed}]" for seed in seeds]
