"""The way down: the same bytes for everybody, one non-blocking send each.

From the step in which entries become a room's head until every live session has been handed them there
is no checkpoint, so order in a room is free. In a very large room the sends are made in chunks with
checkpoints between, so that the loop does not freeze; `RoomStream.handing` then says who is still without the
batch, and for whoever leaves or falls behind meanwhile the batch counts as not seen.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio_chat.server.outbound import OutboundQueue
    from trio_chat.server.stream import Batch, RoomStream

__all__ = ["SENDS_AT_ONCE", "hand_late", "hand_out", "publish", "tell"]

SENDS_AT_ONCE = 1_000  # some 5 ms


async def publish(
    stream: RoomStream, first: int, payloads: list[bytes], *, sends_at_once: int = SENDS_AT_ONCE
) -> None:
    """Show the next committed entries of a room, numbered from `first` on, to all who are in it.

    Passes checkpoints only in rooms of more than `sends_at_once` sessions. Cancelling leaves those who were
    not reached yet without the entries: only the end of the server may cancel.
    """
    batch = stream.append(first, payloads)
    if len(stream.live) <= sends_at_once:
        hand_out(stream.live, batch)
        return
    stream.handing = dict(stream.live)
    while stream.handing:
        chunk = list(islice(stream.handing, sends_at_once))
        for outbound in chunk:
            del stream.handing[outbound]
        hand_out(chunk, batch)
        await trio.lowlevel.checkpoint()


def hand_late(stream: RoomStream, outbound: OutboundQueue) -> None:
    """Hand a live session the batch that is just going out in chunks, if it is still without it."""
    if outbound in stream.handing:
        del stream.handing[outbound]
        hand_out((outbound,), stream.tail[-1])


async def tell(stream: RoomStream, notice: Batch, *, sends_at_once: int = SENDS_AT_ONCE) -> None:
    """Send a notice to all live sessions of a room; passes checkpoints in very large ones."""
    if len(stream.live) <= sends_at_once:
        hand_out(stream.live, notice)
        stream.notices += 1  # last: whoever falls behind by this counts as not told
    else:
        receivers = list(stream.live)
        for start in range(0, len(receivers), sends_at_once):
            hand_out(
                [
                    outbound
                    for outbound in receivers[start : start + sends_at_once]
                    if outbound in stream.live
                ],
                notice,
            )
            # After each chunk: whoever was behind when its turn came may be live again before the end.
            stream.notices += 1
            await trio.lowlevel.checkpoint()


def hand_out(receivers: Iterable[OutboundQueue], batch: Batch) -> None:
    """Send a batch to live sessions, each with its private answers before it."""
    packing = None
    packed = b""
    stalled: list[tuple[OutboundQueue, bytes, int, bytes]] = []
    broken: list[OutboundQueue] = []
    for outbound in receivers:
        if outbound.packing is not packing:
            packing = outbound.packing
            packed = batch.packed(packing)
        # A thousand times in a row, and each time cold: so it touches as few objects as can be.
        data = outbound.take_replies() + packed if outbound.answers_bytes else packed
        try:
            sent = outbound.send_bare(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            broken.append(outbound)
            continue
        if sent != len(data):
            stalled.append((outbound, data, sent, packed))
    # The receivers may be the live set itself, which these change.
    for outbound, data, sent, packed in stalled:
        # What is kept are the shared bytes; of the joined ones only its answers are its own.
        own = len(data) - len(packed)
        if sent < own:
            outbound.fall_behind(data[:own], sent, packed)
        else:
            outbound.fall_behind(packed, sent - own)
    for outbound in broken:
        outbound.break_off()
