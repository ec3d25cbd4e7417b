"""Make a failing input smaller while it fails: delta debugging, for any sequence and any predicate.

    fewest = shrink(steps, fails)

The algorithm knows nothing of the items, nor why they fail together: a part of a failing input need not
fail, as when each item decides the random values of the next ones. So the result is as small as leaving out
parts can make it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["shrink", "smaller"]

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Return the fewest of `items`, in their order, that were found to fail; all of them together must fail.

    It leaves out all items, then each half, each quarter and so on down to single items, and these again
    until each is needed. With n items of which k matter it takes about k · log n calls, and n² in the worst
    case: to limit the time, let `fails` return False.
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
    """Leave out the parts of that size that are not needed. Start at the end, since each item depends on the
    items before it: without the last part, the rest is unchanged."""
    end = len(items)
    while end > 0:
        start = max(0, end - size)
        fewer = items[:start] + items[end:]
        if fewer and fails(fewer):
            items = fewer
        end = start
    return items


def smaller(value: float, lowest: float = 0) -> Iterator[float]:
    """Yield numbers to try instead of `value`, the simplest first: from `lowest` up to below `value`,
    integers for an integer, and others with at most two decimal places."""
    if isinstance(value, int):
        tries: list[float] = [lowest, value // 10, value // 2, value * 3 // 4]
    else:
        tries = [lowest, *(round(part, digits) for part in (value / 2, value) for digits in range(3))]
    seen: set[float] = {value}
    for each in tries:
        if each not in seen and lowest <= each < value:
            seen.add(each)
            yield each
