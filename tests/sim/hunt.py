"""Stories told with very many seeds, and what of it went wrong, as text.

A module of its own, since those who do the work in other processes must find it by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from traceback import format_exception_only

from tests.sim.stories import STORIES

__all__ = ["Failure", "Work", "pieces", "run"]

ROWS_ONE_IN = 20
AT_ONCE = 10  # of one story in one piece of work: often enough heard of, and cheap to hand over


@dataclass(frozen=True)
class Failure:
    """One run that went wrong, as text: what is raised may not travel from process to process."""

    story: str
    seed: int
    error: tuple[str, ...]
    """What was raised, and its notes: among them the call that replays the run."""

    def __str__(self) -> str:
        again = f"again: python -m tests.sim {self.story} --from {self.seed} --seeds 1"
        return "\n    ".join([f"FAILED  {self.story}, seed {self.seed}", *self.error, again])


@dataclass(frozen=True)
class Work:
    """A story and its seeds."""

    story: str
    seeds: range


def run(work: Work) -> list[Failure]:
    """Tell a story with each seed; those that failed."""
    return [failure for seed in work.seeds if (failure := _run_one(work.story, seed)) is not None]


def _run_one(story: str, seed: int) -> Failure | None:
    try:
        STORIES[story](seed)
    except Exception as error:  # noqa: BLE001  # whatever it is, the other seeds go on
        return Failure(story, seed, tuple(_said(error)))
    return None


def _said(error: BaseException) -> Iterator[str]:
    """The error with its notes, and of a group what is in it."""
    for lines in format_exception_only(error):
        yield from lines.rstrip().splitlines()
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _said(each)


def pieces(stories: Sequence[str], first: int, seeds: int, rows_one_in: int = ROWS_ONE_IN) -> list[Work]:
    """All that is to be done, the stories in turn, so that whoever stops early has seen something of each.
    The rows get one seed in so many."""
    works: list[tuple[int, Work]] = []
    for story in stories:
        one_in = 1 if story == "chat" else rows_one_in
        last = first + max(1, seeds // one_in)
        ranges = [range(at, min(at + AT_ONCE, last)) for at in range(first, last, AT_ONCE)]
        works += [((each.start - first) * one_in, Work(story, each)) for each in ranges]
    return [work for _, work in sorted(works, key=lambda each: each[0])]
