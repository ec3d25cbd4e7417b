"""Make what fails smaller while it fails: delta debugging, for any sequence and any predicate.

    fewest = shrink(steps, fails)

Nothing is known of the items, nor why they fail together: fewer of those that fail need not fail, as when
each decides what chance the next ones get. So what comes out is as small as leaving out parts can make it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["shrink", "smaller"]

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """The fewest of `items`, in their order, that were found to fail; all of them are known to.

    All are left out, then each half, each quarter and so on down to single ones, and these again until each
    is needed. With n items of which k matter it takes some k · log n calls, and n² when nothing is as it
    seems: who has not so much time lets `fails` say no.
    """
    kept = tuple(items)
    if not kept or fails(()):
        return ()
    size = (len(kept) + 1) // 2
    while True:
        fewer = _without_parts(kept, size, fails)
        if size == 1 and fewer == kept:
            return kept
        kept = fewer
        size = max(1, min(size, len(kept)) // 2)


def _without_parts(items: tuple[T, ...], size: int, fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Without those parts of that size that are not needed. From the end, as what happens depends on what was
    before it: without what comes last, the rest is as it was."""
    end = len(items)
    while end > 0:
        start = max(0, end - size)
        fewer = items[:start] + items[end:]
        if fewer and fails(fewer):
            items = fewer
        end = start
    return items


def smaller(value: float, lowest: float = 0) -> Iterator[float]:
    """Numbers to try instead of one, the simplest first: none below `lowest` nor above it, whole ones of a
    whole one, and at most three decimal places of another."""
    if isinstance(value, int):
        tries: list[float] = [lowest, value // 10, value // 2, value * 3 // 4]
    else:
        tries = [lowest, *(round(part, digits) for part in (value / 2, value) for digits in range(3))]
    seen: set[float] = {value}
    for each in tries:
        if each not in seen and lowest <= each < value:
            seen.add(each)
            yield each
