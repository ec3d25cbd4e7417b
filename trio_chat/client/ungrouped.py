"""Raise the exceptions of a nursery without a group."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

__all__ = ["ungrouped"]


@contextmanager
def ungrouped() -> Iterator[None]:
    """Use it around a nursery: a group with one error raises that error, several errors stay a group.

    `Cancelled` of the other tasks is dropped beside an error. If all tasks were cancelled, one `Cancelled` is
    raised.
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
            alone.__context__ = context  # as it was before the group
            del alone, others
