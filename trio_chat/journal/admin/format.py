"""Format a journal's state and rooms as lines for its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.journal.dates import date_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_chat.journal.admin.info import JournalInfo, RoomInfo

__all__ = ["format_info"]


def format_info(info: JournalInfo, rooms_max: int | None) -> Iterator[str]:
    """Yield the journal's state in some lines, then a table of its rooms, the largest first."""
    yield f"journal     {info.path}"
    yield f"state       {info.state}"
    yield f"size        {_size(info.bytes)}, and {_size(info.log_bytes)} of log"
    yield f"version     {info.version}, durability {info.durability or 'not chosen yet'}"
    yield f"server id   {info.server_id or 'not made yet'}"
    span = f", {date_text(info.oldest)} to {date_text(info.newest)}" if info.entries else ""
    rooms = "1 room" if len(info.rooms) == 1 else f"{len(info.rooms):,} rooms"
    yield f"entries     {info.entries:,} in {rooms}{span}"
    if info.rooms:
        yield ""
        yield from _table(info.rooms[:rooms_max])
    if rooms_max is not None and len(info.rooms) > rooms_max:
        yield f"{len(info.rooms) - rooms_max:,} smaller rooms are not shown (use --all)"


def _table(rooms: list[RoomInfo]) -> Iterator[str]:
    rows = [("room", "numbers", "entries", "size", "newest", "topic")]
    for room in rooms:
        numbers = f"{room.first}-{room.head}" if room.entries else "none"
        newest = date_text(room.newest) if room.newest else ""
        topic = " ".join(_shown(room.topic).split())[:40]
        rows.append((_shown(room.room), numbers, f"{room.entries:,}", _size(room.bytes), newest, topic))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[5]]).rstrip()


def _size(count: int) -> str:
    if count < 10_000:
        return f"{count} B"
    for unit in ("KiB", "MiB"):
        count_in_unit = count / 1_024
        if count_in_unit < 1_000:
            return f"{count_in_unit:.1f} {unit}"
        count //= 1_024
    return f"{count / 1_024:.1f} GiB"


def _shown(text: str) -> str:
    """Replace control characters in a user's text: it must not move the cursor or reverse letters."""
    return "".join(char if char.isprintable() else " " for char in text)
