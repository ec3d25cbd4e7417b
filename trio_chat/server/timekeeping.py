"""Compare the server's clocks, and check the times in its journal."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING

import trio

from trio_chat.errors import StoreError
from trio_chat.journal.dates import date_text
from trio_chat.server.clock import AGREEMENT_MS

if TYPE_CHECKING:
    from trio_chat.journal.store import RoomTimes, Store
    from trio_chat.server.clock import ServerTime
    from trio_chat.server.retention import RetentionTime

__all__ = ["begin_retention", "compare_clocks"]

log = logging.getLogger("trio_chat.clock")

COMPARE_S = 5.0  # so that a quiet server notices a changed clock as well as a busy one
ROOMS_NAMED = 5


async def begin_retention(store: Store, server_time: ServerTime, retention: RetentionTime) -> None:
    """Start retention according to the time of the journal's newest entry, and warn of future times.

    Retention waits when the journal cannot be read.
    """
    times = await _report_future(store, server_time)
    if times is None:
        retention.wait("the times of the newest entries cannot be read")
    else:
        retention.begin(times.newest_ms)


async def compare_clocks(store: Store, server_time: ServerTime, retention: RetentionTime) -> None:
    """Compare both clocks every few seconds until cancelled. Warn of future times after each change."""
    changes = server_time.changes
    while True:
        await trio.sleep(COMPARE_S)
        retention.now_ms()
        if changes != server_time.changes:
            changes = server_time.changes
            await _report_future(store, server_time)


async def _report_future(store: Store, server_time: ServerTime) -> RoomTimes | None:
    """Warn of rooms whose newest entry is in the future. Return None when the journal cannot be read."""
    now = server_time.now_ms()
    try:
        times = await store.room_times(now + AGREEMENT_MS, ROOMS_NAMED)
    except StoreError as error:
        log.error("cannot read the times of the journal: %s", error)
        return None
    except Exception:
        log.exception("unexpected error in the journal store")
        return None
    if times.ahead:
        log.warning("%s", _warning(times, in_memory=store.kept == "memory"))
    return times


def _warning(times: RoomTimes, *, in_memory: bool) -> str:
    is_single = times.ahead_count == 1
    more = times.ahead_count - len(times.ahead)
    names = ", ".join(map(_printable, times.ahead)) + (f" and {more:,} more" if more else "")
    text = (
        f"{'room' if is_single else 'rooms'} {names}: the newest entry is in the future, up to"
        f" {date_text(times.newest_ms)}; new entries get the same time until then"
    )
    if in_memory:
        return text
    rooms = " ".join(f"--room {shlex.quote(_printable(room))}" for room in times.ahead)
    return f"{text}. To correct it, stop the server and run `trio-chat journal retime {rooms}`"


def _printable(text: str) -> str:
    """Return a room's name with unprintable characters replaced: a damaged file may contain any."""
    return "".join(char if char.isprintable() else "?" for char in text)
