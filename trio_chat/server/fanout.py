"""The way down: the same bytes for everybody, one non-blocking send each.

From the step in which entries become a room's head until every live session has been handed them there
is no checkpoint, so order in a room is free. In a very large room the sends are made in chunks with
checkpoints between, so that the loop does not freeze; `Feed.handing` then says who is still without the
batch, and for whoever leaves or falls behind meanwhile the batch counts as not seen.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio_chat.server.outbound import Owed
    from trio_chat.server.stream import Batch, Feed

__all__ = ["SENDS_AT_ONCE", "hand_late", "hand_out", "publish", "tell"]

SENDS_AT_ONCE = 1_000  # some 5 ms


async def publish(
    feed: Feed, first: int, payloads: list[bytes], *, sends_at_once: int = SENDS_AT_ONCE
) -> None:
    """Show the next committed entries of a room, numbered from `first` on, to all who are in it.

    Passes checkpoints only in rooms of more than `sends_at_once` sessions. Cancelling leaves those who were
    not reached yet without the entries: only the end of the server may cancel.
    """
    batch = feed.append(first, payloads)
    if len(feed.live) <= sends_at_once:
        hand_out(feed.live, batch)
        return
    feed.handing = dict(feed.live)
    while feed.handing:
        chunk = list(islice(feed.handing, sends_at_once))
        for owed in chunk:
            del feed.handing[owed]
        hand_out(chunk, batch)
        await trio.lowlevel.checkpoint()


def hand_late(feed: Feed, owed: Owed) -> None:
    """Hand a live session the batch that is just going out in chunks, if it is still without it."""
    if owed in feed.handing:
        del feed.handing[owed]
        hand_out((owed,), feed.tail[-1])


async def tell(feed: Feed, notice: Batch, *, sends_at_once: int = SENDS_AT_ONCE) -> None:
    """Send a notice to all live sessions of a room; passes checkpoints in very large ones."""
    if len(feed.live) <= sends_at_once:
        hand_out(feed.live, notice)
        feed.notices += 1  # last: whoever falls behind by this counts as not told
    else:
        receivers = list(feed.live)
        for start in range(0, len(receivers), sends_at_once):
            hand_out([owed for owed in receivers[start : start + sends_at_once] if owed in feed.live], notice)
            # After each chunk: whoever was behind when its turn came may be live again before the end.
            feed.notices += 1
            await trio.lowlevel.checkpoint()


def hand_out(receivers: Iterable[Owed], batch: Batch) -> None:
    """Send a batch to live sessions, each with its private answers before it."""
    packing = None
    packed = b""
    stalled: list[tuple[Owed, bytes, int, bytes]] = []
    broken: list[Owed] = []
    for owed in receivers:
        if owed.packing is not packing:
            packing = owed.packing
            packed = batch.packed(packing)
        # A thousand times in a row, and each time cold: so it touches as few objects as can be.
        data = owed.take_answers() + packed if owed.answers_bytes else packed
        try:
            sent = owed.send_bare(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            broken.append(owed)
            continue
        if sent != len(data):
            stalled.append((owed, data, sent, packed))
    # The receivers may be the live set itself, which these change.
    for owed, data, sent, packed in stalled:
        # What is kept are the shared bytes; of the joined ones only its answers are its own.
        own = len(data) - len(packed)
        if sent < own:
            owed.fall_behind(data[:own], sent, packed)
        else:
            owed.fall_behind(packed, sent - own)
    for owed in broken:
        owed.break_off()
