"""Run stories with very many seeds and return the failures as text.

This is a module of its own because worker processes must import it by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from traceback import format_exception_only

from tests.sim.stories import STORIES

__all__ = ["Failure", "Work", "pieces", "run"]

ROWS_ONE_IN = 20
AT_ONCE = 10  # seeds of a story in one piece of work: frequent progress, and cheap to hand over


@dataclass(frozen=True)
class Failure:
    """Hold a failed run as text, because its exception may not be picklable."""

    story: str
    seed: int
    error: tuple[str, ...]
    """The exception and its notes; a note has the call that replays the run."""

    def __str__(self) -> str:
        again = f"again: python -m tests.sim {self.story} --from {self.seed} --seeds 1"
        return "\n    ".join([f"FAILED  {self.story}, seed {self.seed}", *self.error, again])


@dataclass(frozen=True)
class Work:
    """Hold a story and its seeds."""

    story: str
    seeds: range


def run(work: Work) -> list[Failure]:
    """Run a story with each seed and return the failures."""
    return [failure for seed in work.seeds if (failure := _run_one(work.story, seed)) is not None]


def _run_one(story: str, seed: int) -> Failure | None:
    try:
        STORIES[story](seed)
    except Exception as error:  # noqa: BLE001  # run the other seeds after any error
        return Failure(story, seed, tuple(_said(error)))
    return None


def _said(error: BaseException) -> Iterator[str]:
    """Yield the lines of the error and its notes, and of the errors inside a group."""
    for lines in format_exception_only(error):
        yield from lines.rstrip().splitlines()
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _said(each)


def pieces(stories: Sequence[str], first: int, seeds: int, rows_one_in: int = ROWS_ONE_IN) -> list[Work]:
    """Return all pieces of work, the stories in turn, so that a run stopped early has tried each story.

    A story other than the chat gets one seed in `rows_one_in`.
    """
    works: list[tuple[int, Work]] = []
    for story in stories:
        one_in = 1 if story == "chat" else rows_one_in
        last = first + max(1, seeds // one_in)
        ranges = [range(at, min(at + AT_ONCE, last)) for at in range(first, last, AT_ONCE)]
        works += [((each.start - first) * one_in, Work(story, each)) for each in ranges]
    return [work for _, work in sorted(works, key=lambda each: each[0])]
