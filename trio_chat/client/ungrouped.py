"""What a nursery raises, to those who do not care that there is one."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

__all__ = ["ungrouped"]


@contextmanager
def ungrouped() -> Iterator[None]:
    """Around a nursery: a group that is about one error comes out as that error, several stay a group.

    Tasks are cancelled beside one that fails: as in any function, an exception that is on its way out goes
    before. When all were cancelled it is one cancellation.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        others = [error for error in group.exceptions if not isinstance(error, trio.Cancelled)]
        if len(others) > 1:
            raise
        alone = others[0] if others else group.exceptions[0]
        context = alone.__context__
        try:
            raise alone
        finally:
            alone.__context__ = context  # it was there before the group
            del alone, others
