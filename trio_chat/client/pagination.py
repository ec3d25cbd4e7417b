"""Read lists that a server sends in pages."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from trio_chat.client.event_size import event_bytes
from trio_chat.client.exceptions import protocol_error

__all__ = ["LISTED_BYTES_MAX", "all_pages"]

T = TypeVar("T")

# In memory: some 500,000 names, fifty times the default number of connections of a server.
LISTED_BYTES_MAX = 64 << 20


async def all_pages(
    ask: Callable[[str], Awaitable[tuple[list[T], bool]]], name: Callable[[T], str]
) -> list[T]:
    """Return the items of all pages. `ask` takes the name of the last item so far ("" at first) and returns
    the next page and whether there are more; `name` returns the name that an item is sorted by.

    An empty page is the last one. Raises `ProtocolError` if a page does not continue the one before, and if
    the list does not end.
    """
    items: list[T] = []
    after = ""
    held_bytes = 0
    while True:
        page, more = await ask(after)
        items += page
        if not more or not page:
            return items
        # Pages are sorted by code point, as Python compares texts.
        if name(page[-1]) <= after:
            raise protocol_error(f"a page that does not continue after {after!r}")
        after = name(page[-1])
        held_bytes += event_bytes(page)
        if held_bytes > LISTED_BYTES_MAX:
            raise protocol_error(f"a list that does not end within {LISTED_BYTES_MAX >> 20} MiB")
