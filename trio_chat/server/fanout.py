"""The fan-out: send the same bytes to every live session of a room, with one non-blocking send each.

Between the step in which entries become a room's head and the last send there is no checkpoint, so the order
in a room needs no lock. In a very large room the sends are made in chunks, with checkpoints between them, so
that the loop is not blocked. `RoomStream.unsent` then holds the sessions that have not got the batch. A
session that leaves or falls behind meanwhile counts as not having it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio_chat.server.outbound import OutboundQueue
    from trio_chat.server.stream import Batch, RoomStream

__all__ = ["SENDS_AT_ONCE", "publish", "send_batch", "send_notice", "send_unsent"]

SENDS_AT_ONCE = 1_000  # about 5 ms of work


async def publish(
    stream: RoomStream, first: int, payloads: list[bytes], *, sends_at_once: int = SENDS_AT_ONCE
) -> None:
    """Publish the next committed entries of a room, numbered from `first` on, to its sessions.

    Passes checkpoints only in rooms of more than `sends_at_once` sessions. Cancelling leaves the remaining
    sessions without the entries, so only the end of the server may cancel.
    """
    batch = stream.append(first, payloads)
    if len(stream.live) <= sends_at_once:
        send_batch(stream.live, batch)
        return
    stream.unsent = dict(stream.live)
    while stream.unsent:
        chunk = list(islice(stream.unsent, sends_at_once))
        for outbound in chunk:
            del stream.unsent[outbound]
        send_batch(chunk, batch)
        await trio.lowlevel.checkpoint()


def send_unsent(stream: RoomStream, outbound: OutboundQueue) -> None:
    """Send a live session the batch that is being sent in chunks, if it has not got it yet."""
    if outbound in stream.unsent:
        del stream.unsent[outbound]
        send_batch((outbound,), stream.tail[-1])


async def send_notice(stream: RoomStream, notice: Batch, *, sends_at_once: int = SENDS_AT_ONCE) -> None:
    """Send a notice to all live sessions of a room. Passes checkpoints in very large rooms."""
    if len(stream.live) <= sends_at_once:
        send_batch(stream.live, notice)
        stream.notices += 1  # last: a session that falls behind in this send counts as not having it
    else:
        receivers = list(stream.live)
        for start in range(0, len(receivers), sends_at_once):
            send_batch(
                [
                    outbound
                    for outbound in receivers[start : start + sends_at_once]
                    if outbound in stream.live
                ],
                notice,
            )
            # After each chunk: a session that was behind in its chunk may be live again before the last one.
            stream.notices += 1
            await trio.lowlevel.checkpoint()


def send_batch(receivers: Iterable[OutboundQueue], batch: Batch) -> None:
    """Send a batch to live sessions, to each after its pending private replies."""
    packing = None
    packed = b""
    stalled: list[tuple[OutboundQueue, bytes, int, bytes]] = []
    broken: list[OutboundQueue] = []
    for outbound in receivers:
        if outbound.packing is not packing:
            packing = outbound.packing
            packed = batch.packed(packing)
        # This runs a thousand times in a row with cold caches, so it touches as few objects as possible.
        data = outbound.take_replies() + packed if outbound.replies_bytes else packed
        try:
            sent = outbound.send_bare(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            broken.append(outbound)
            continue
        if sent != len(data):
            stalled.append((outbound, data, sent, packed))
    # Only now, as `receivers` may be the live set itself, which these calls change.
    for outbound, data, sent, packed in stalled:
        # Keep the shared bytes, not a copy: only the replies in front of them belong to this session.
        own = len(data) - len(packed)
        if sent < own:
            outbound.fall_behind(data[:own], sent, packed)
        else:
            outbound.fall_behind(packed, sent - own)
    for outbound in broken:
        outbound.connection_lost()
