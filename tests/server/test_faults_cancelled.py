"""Row 34 of the table of faults: a session ends at each of its steps in turn.

Eve's commands make a session wait for everything that it can wait for: bytes, the journal, pending messages,
its socket, its own goodbye. They run again and again, and the session is ended one step later each time: by
cancelling its task, by a reset, or by the end of the server.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, ServerHarness, packed, serving
from tests.server.stores import SlowStore
from trio_chat.errors import LinkBroken
from trio_chat.testing.pipe import link_pair
from trio_chat.wire.messages import Bye, Command, Hello, History, Join, Leave, Ping, Quit, Say, Topic, Whisper

SEVERAL: list[Command] = [Say("lobby", "x" * 300, ref=f"s{n}") for n in range(5)]
COMMANDS: tuple[tuple[Command, ...], ...] = (
    (Hello(version=1, name="eve"), Ping(n=1)),
    (Join("lobby", recent=20), *SEVERAL[:3]),
    (History("lobby"), Topic("lobby", "tea"), Leave("lobby"), Join("lobby", recent=5)),
    (Join("attic"), Say("attic", "anybody?"), *SEVERAL, Leave("attic"), Whisper("bob", "psst")),
    (Join("attic"), *SEVERAL, Quit()),
)


class AtStep(trio.abc.Instrument):
    """Calls `act` once, after a given step of the next session's task."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.left = step
        self._act = act
        self._task: trio.lowlevel.Task | None = None

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        if self._task is None and task.name.endswith("serve_link"):
            self._task = task

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.left -= 1
            if self.left == 0:
                self._act()


@contextmanager
def watching(watch: AtStep) -> Iterator[None]:
    trio.lowlevel.add_instrument(watch)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(watch)


async def live(peer: RawClient) -> None:
    """Eve's day; it may end early. She reads slowly, so that she is often behind."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_talk, peer)
        with suppress(LinkBroken, trio.EndOfChannel, trio.ClosedResourceError):
            while True:
                await peer.next()
                if len(peer.seen) % 5 == 0:
                    await trio.sleep(0.3)
        nursery.cancel_scope.cancel()
    peer.link.close()


async def _talk(peer: RawClient) -> None:
    with suppress(LinkBroken, trio.ClosedResourceError):
        for commands in COMMANDS:
            await peer.send_all(packed(*commands))
            await trio.sleep(1)


def _slow() -> SlowStore:
    return SlowStore(open_s=0.2, commit_s=0.2, read_s=0.2)


@pytest.mark.parametrize("how", ["cancelled", "reset"])
async def test_ended_at_every_step_of_a_session(how: str, autojump_clock: MockClock) -> None:
    for step in count(1):
        async with serving(store=_slow(), tail_bytes=1) as harness:
            zoe = await harness.observer()
            here, there = link_pair(700)
            with trio.CancelScope() as scope:
                watch = AtStep(step, scope.cancel if how == "cancelled" else here.reset)
                with watching(watch):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(live, RawClient(here))
                        nursery.start_soon(harness.server.serve_link, there)
            here.close()
            await _check_nothing_is_left(harness, await zoe.presence_changes(10), step)
        if watch.left > 0:
            assert step > 20, "a session of many steps"
            return


async def _check_nothing_is_left(harness: ServerHarness, changes: list[str], step: int) -> None:
    comings = [change[0] for change in changes]
    assert comings == ["+", "-"] * (len(comings) // 2), f"a leave for each join, not {changes} at step {step}"
    assert harness.server.sessions == 1, f"a session is left at step {step}"
    again = await harness.enter("eve", "attic")
    again.send(Quit())
    await again.ended_with("quit")


async def test_the_server_drains_at_every_step_of_a_session(autojump_clock: MockClock) -> None:
    """All pending messages are settled or refused, and no session is left, which `serving` checks."""
    for step in count(1):
        stop = trio.Event()
        watch = AtStep(step, stop.set)
        async with trio.open_nursery() as nursery, serving(store=_slow(), tail_bytes=1) as harness:
            with watching(watch):
                eve = harness.dial(buffer_bytes=700)
                nursery.start_soon(_run_and_stop, eve, stop)
                await stop.wait()
        byes = [event.code for event in eve.seen if isinstance(event, Bye)]
        assert byes in (["draining"], ["quit"]), f"{byes} at step {step}"
        if watch.left > 0:
            assert step > 20, "a session of many steps"
            return


async def _run_and_stop(peer: RawClient, stop: trio.Event) -> None:
    await live(peer)
    stop.set()
