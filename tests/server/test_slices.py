"""Long output work is divided into slices: a session that catches up, and a batch of many rooms.

Each look at the clock of work takes a slice.
"""

from itertools import pairwise

import trio
from trio.testing import MockClock

from tests.server.harness import StepClock, serving
from tests.server.outbound_harness import Receiver, outbound_harness
from trio_chat.server.fair_share import SLICE_S
from trio_chat.wire.messages import Ack, Said, Say


async def _catch_up(batches: int) -> int:
    """Return in how many passes of the loop a receiver is sent so many large batches."""
    async with outbound_harness(tail_bytes=100 << 20, clock=StepClock(SLICE_S)) as harness:
        for _ in range(batches):
            await harness.say(*("x" * 4_000 for _ in range(20)))
        reader = Receiver(harness)
        reader.join("lobby", recent=20 * batches)
        passes = 0
        while not reader.outbound.live:
            await trio.lowlevel.checkpoint()
            passes += 1
        reader.check_room("lobby", 0, 20 * batches)
        return passes


async def test_a_session_that_catches_up_takes_a_slice_in_each_pass() -> None:
    assert await _catch_up(100) >= 90


async def test_a_batch_of_many_rooms_is_published_in_slices(autojump_clock: MockClock) -> None:
    rooms = [f"r{number}" for number in range(50)]
    async with serving(rate_limit=False, work_clock=StepClock(2 * SLICE_S)) as harness:
        ada = await harness.enter("ada", *rooms)
        ada.seen.clear()
        shown: list[int] = []
        ada.send(*(Say(room, "hi", ref=room) for room in rooms))
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while True:
                    shown.append(sum(harness.server.streams[room].head for room in rooms))
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(watch)
            for room in rooms:
                await ada.answer(Ack, ref=room, room=room, seq=1)
                await ada.answer(Said, room=room)
            nursery.cancel_scope.cancel()
        assert max(after - before for before, after in pairwise(shown)) <= 2, "a pass may run it twice"
