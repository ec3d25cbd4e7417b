"""After a sleep of the machine the client pings at once, and the server has a short time to answer."""

import pytest
import trio

from tests.client.scripted import ScriptedServer, chatting
from trio_chat.client.events import Disconnected
from trio_chat.client.keepalive import ANSWER_S, LOOK_S, SLEPT_S, Sleep
from trio_chat.wire.messages import Ping, Pong


def test_a_sleep_is_detected_once_by_the_wall_clock() -> None:
    sleep = Sleep(1_000.0, 0.0)
    assert not sleep.noticed(1_005.0, 5.0)
    assert not sleep.noticed(1_010.0 + SLEPT_S, 10.0), "a small drift of the clocks must not count as sleep"
    assert sleep.noticed(1_100.0, 15.0)
    assert not sleep.noticed(1_105.0, 20.0)


def test_a_clock_that_is_set_back_does_not_count_as_sleep() -> None:
    sleep = Sleep(1_000.0, 0.0)
    assert not sleep.noticed(10.0, 5.0)
    assert sleep.noticed(15.0 + SLEPT_S + 1, 10.0)


class WallClock:
    """A wall clock that the test sets."""

    def __init__(self) -> None:
        self.ahead_s = 1_790_000_000.0

    def __call__(self) -> float:
        return trio.current_time() + self.ahead_s


async def test_after_a_sleep_a_dead_connection_is_detected_within_seconds(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    wall, scripted_server = WallClock(), ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, clock_s=wall) as (chat, peer):
        await trio.sleep(1)
        wall.ahead_s += 3_600
        assert await peer.command() == Ping()
        assert trio.current_time() == pytest.approx(LOOK_S)
        outage = await anext(chat)
        assert isinstance(outage, Disconnected)
        assert trio.current_time() == pytest.approx(LOOK_S + ANSWER_S)


async def test_after_a_sleep_a_live_connection_continues(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    wall, scripted_server = WallClock(), ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, clock_s=wall, ping_s=100) as (chat, peer):
        await trio.sleep(1)
        wall.ahead_s += 3_600
        assert await peer.command() == Ping()
        assert trio.current_time() == pytest.approx(LOOK_S)
        await trio.sleep(ANSWER_S - 1)
        await peer.say(Pong())
        with trio.move_on_after(90) as patience:
            await anext(chat)
        assert patience.cancelled_caught, "the live connection must continue"
        assert len(scripted_server.dialled) == 1
