"""No input holds up the others: the work of a session is done in slices and is counted, refused or not.

Work is counted in looks at a clock that the tests control; each takes a step.
"""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, ServerHarness, StepClock, serving, serving_observed
from trio_chat.errors import LinkBroken
from trio_chat.server.fair_share import SLICE_S
from trio_chat.server.session import REFUSED_HELLOS
from trio_chat.wire.messages import (
    Ack,
    Error,
    Event,
    Hello,
    Join,
    Leave,
    Ping,
    Pong,
    Rename,
    Said,
    Say,
    Topic,
    Typing,
    Welcome,
    Whisper,
    Who,
)

ODD_NAME = "ا" + "٠" * 127
ODD_ROOM = "ا" + "٠" * 255


# --- refused hellos -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ODD_NAME, "", "#ada", "zoe"])
async def test_the_tenth_refused_hello_ends_the_connection(
    name: str, websocket: bool, autojump_clock: MockClock
) -> None:
    async with serving(websocket=websocket) as house:
        await house.enter("zoe", "lobby")
        eve = house.dial()
        eve.send(*(Hello(version=1, name=name, ref=f"h{number}") for number in range(50)))
        bye = await eve.ended_with("rate_limited")
        assert (bye.ref, bye.after_s) == (f"h{REFUSED_HELLOS - 1}", 5)
        assert len([event for event in eve.seen if isinstance(event, Error)]) == REFUSED_HELLOS - 1
        assert not any(isinstance(event, Welcome) for event in eve.seen)


async def test_nine_refused_hellos_do_not(autojump_clock: MockClock) -> None:
    async with serving() as house:
        eve = house.dial()
        eve.send(*(Hello(version=1, name=ODD_NAME) for _ in range(REFUSED_HELLOS - 1)))
        eve.send(Hello(version=1, name="eve"))
        await eve.answer(Welcome, name="eve")


async def _flood(peer: RawClient, commands: bytes) -> None:
    """Send the same a thousand times a second, as far as it is taken, until the connection ends."""
    try:
        while True:
            await peer.send_all(commands)
            await trio.sleep(0.001)
    except (LinkBroken, trio.ClosedResourceError):
        pass


# --- timeouts -------------------------------------------------------------------------------------------


async def test_a_stranger_that_never_stops_sending_has_ten_seconds(autojump_clock: MockClock) -> None:
    """Each look takes 0.1 ms of work, and the flooder's input never ends: pings are no hello."""
    async with serving(websocket=True, work_clock=StepClock(1e-4)) as house, trio.open_nursery() as nursery:
        eve = house.dial(buffer_bytes=4_096)
        opened = trio.current_time()
        eve.send(Ping())  # the upgrade, and a command that is refused
        pong = b"\x8a\x80\x00\x00\x00\x00"  # asks for nothing, and is no message
        nursery.start_soon(_flood, eve, pong * 500)
        await eve.ended_with("hello_timeout")
        assert 10 <= trio.current_time() - opened <= 12
        nursery.cancel_scope.cancel()


async def test_a_drain_keeps_its_deadline_under_a_flood(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with serving(work_clock=StepClock(1e-3), drain_s=8) as house:
            for number in range(8):
                eve = await house.enter(f"eve{number}", "lobby")
                nursery.start_soon(_flood, eve, eve.packed(*(Ping() for _ in range(500))))
            await trio.sleep(1)
            stopping = trio.current_time()
        assert trio.current_time() - stopping <= 8.1
        nursery.cancel_scope.cancel()


async def test_a_slow_head_is_no_work(autojump_clock: MockClock) -> None:
    """A request that takes four seconds to become too large is charged for none of them."""
    async with serving() as house:
        eve = house.dial()
        eve.link.send_nowait(b"GET / HTTP/1.1\r\n")
        await trio.sleep(4)
        eve.link.send_nowait(b"x: " + b"y" * 9_000)
        await trio.sleep(0.01)
        began = trio.current_time()
        await house.enter("ada", "lobby")
        assert trio.current_time() - began < 0.1


async def test_what_came_in_time_is_read_before_timeouts_are_judged(autojump_clock: MockClock) -> None:
    """The server stands still for longer than any timeout, and all had been sent before."""
    async with serving() as house:
        ada = await house.enter("ada", "lobby")
        stranger = house.dial()
        await trio.sleep(5)
        ada.send(Ping())
        ada.send_bytes(ada.packed(Say("lobby", "half", ref="s"))[:10])
        await trio.sleep(0.1)
        ada.send_bytes(ada.packed(Say("lobby", "half", ref="s"))[10:])
        stranger.send(Hello(version=1, name="eve"))
        autojump_clock.jump(300)
        await ada.answer(Ack, ref="s")
        await stranger.answer(Welcome, name="eve")


async def test_a_peer_that_does_not_read_saves_up_no_burst(autojump_clock: MockClock) -> None:
    """A `leave` waits until all has been handed over; that is no wait for the server."""
    async with serving() as house:
        zoe = await house.enter("zoe", "lobby")
        for _ in range(20):
            await zoe.say("x" * 4_000)
        token = "t" * 22
        eve = house.dial(buffer_bytes=4_096)
        await eve.hello("eve", token)
        eve.send(Join("lobby", recent=20), Leave("lobby", ref="l"))
        await trio.sleep(50)
        other = await house.enter("eve", "lobby", token=token)
        other.send(*(Say("lobby", "hm", ref=f"s{number}") for number in range(100)))
        heard = await other.receive_for(0.001)
        assert len([event for event in heard if isinstance(event, Ack)]) == 20


# --- slices and budgets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flood",
    [
        lambda peer: peer.packed(*(Ping() for _ in range(300))),
        lambda peer: peer.packed(*(Typing(ODD_ROOM) for _ in range(300))),
        lambda peer: peer.packed(*(Say("lobby", "too fast") for _ in range(300))),
        lambda peer: peer.packed(*(Say(ODD_ROOM, "not there") for _ in range(50))),
        lambda peer: peer.packed(*(Join(ODD_ROOM) for _ in range(50))),
        lambda peer: peer.packed(*(Who(ODD_ROOM) for _ in range(50))),
        lambda peer: peer.packed(*(Whisper(ODD_NAME, "hm") for _ in range(50))),
        lambda peer: peer.packed(*(Rename(ODD_NAME) for _ in range(50))),
    ],
    ids=["ping", "typing", "say", "say elsewhere", "join", "who", "whisper", "rename"],
)
async def test_a_flood_of_any_command_leaves_most_of_the_time_to_others(
    flood: Callable[[RawClient], bytes], autojump_clock: MockClock
) -> None:
    """Each look at the clock takes a slice, and so does each command: soon it waits for turns."""
    work = StepClock(SLICE_S)
    async with serving_observed("-eve lost", work_clock=work) as (_, zoe, eve):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_flood, eve, flood(eve))
            nursery.start_soon(_read_on, eve)
            await trio.sleep(5)
            looks, began = work.looks, trio.current_time()
            await trio.sleep(5)
            worked_s = (work.looks - looks) * SLICE_S
            assert worked_s / (trio.current_time() - began) < 1.5, (
                "about three looks a slice, a quarter of the time"
            )
            asked = trio.current_time()
            await zoe.say("may I?")
            assert trio.current_time() - asked < 0.01
            nursery.cancel_scope.cancel()
        eve.link.close()


async def _read_on(peer: RawClient) -> None:
    """Read and forget, so that only the input is a flood."""
    try:
        while await peer.link.receive_some():
            pass
    except (LinkBroken, trio.ClosedResourceError):
        pass


async def test_a_slice_ends_after_a_millisecond_of_work_however_few_commands_it_was(
    autojump_clock: MockClock,
) -> None:
    """Between two dear commands of one read the loop goes round."""
    async with serving(rate_limit=False, work_clock=StepClock(2 * SLICE_S)) as house:
        zoe, eve = await house.enter("zoe", "lobby"), await house.enter("eve", "lobby")
        eve.send(*(Ping(n=n) for n in range(100)))
        zoe.send(Say("lobby", "may I?", ref="s"))
        await zoe.answer(Ack, ref="s")
        eve.take(await eve.link.receive_some())
        answered = [event for event in eve.seen if isinstance(event, Pong)]
        assert len(answered) < 20, "the say did not wait for all of the pings"
        await eve.answer(Pong, n=99)


# --- a server that was late ---------------------------------------------------------------------------------


async def test_lines_that_piled_up_while_the_server_was_late_are_not_refused(
    autojump_clock: MockClock,
) -> None:
    """The clock jumps 50 s ahead in one step, as in a stall, while ada speaks at her rate."""
    async with serving() as house:
        ada = await house.enter("ada", "lobby")
        await trio.sleep(5)
        ada.send(*(Say("lobby", f"line {number}", ref=f"s{number}") for number in range(250)))
        autojump_clock.jump(50)
        await ada.answer(Ack, ref="s249")
        assert not [event for event in ada.seen if isinstance(event, Error)]


async def test_beyond_the_rate_they_are(autojump_clock: MockClock) -> None:
    async with serving() as house:
        ada = await house.enter("ada", "lobby")
        await trio.sleep(5)
        ada.send(*(Say("lobby", f"line {number}", ref=f"s{number}") for number in range(400)))
        autojump_clock.jump(50)
        refused = await ada.receive_for()
        assert 100 <= len([event for event in refused if isinstance(event, Error)]) <= 135


# --- rates that outlive a session ---------------------------------------------------------------------------


async def _talk(house: ServerHarness, token: str, address: str = "") -> int:
    """How many of thirty lines are acked to a new connection of that token."""
    peer = house.dial(address=address)
    welcome = await peer.hello(f"n{token[:8]}", token)
    peer.token = welcome.token
    await peer.join("lobby")
    peer.send(*(Say("lobby", "hm", ref=f"s{number}") for number in range(30)))
    heard = await peer.receive_for(0.001)
    peer.link.close()
    await trio.sleep(0.001)
    return len([event for event in heard if isinstance(event, Ack)])


async def test_a_token_that_reconnects_has_no_new_burst(autojump_clock: MockClock) -> None:
    async with serving() as house:
        token = "t" * 22
        assert await _talk(house, token) == 20
        assert sum([await _talk(house, token) for _ in range(10)]) <= 1
        await trio.sleep(2)
        assert 9 <= await _talk(house, token) <= 11
        await trio.sleep(4)
        assert await _talk(house, token) == 20


async def test_new_tokens_of_one_address_share_ten_bursts(autojump_clock: MockClock) -> None:
    async with serving() as house:
        tokens = [f"{number:022}" for number in range(40)]
        said = [await _talk(house, token[::-1], "192.0.2.1") for token in tokens]
        assert 200 <= sum(said) <= 205, "some 50 a second are granted beside the burst"
        elsewhere = [await _talk(house, f"x{token[1:]}", "192.0.2.2") for token in tokens[:5]]
        assert sum(elsewhere) == 100
        loopback = [await _talk(house, f"y{token[1:]}") for token in tokens]
        assert sum(loopback) == 800


async def test_texts_are_limited_by_their_bytes(autojump_clock: MockClock) -> None:
    async with serving(talk_burst=1_000, talk_per_s=1_000, text_bytes=4_096) as house:
        ada = await house.enter("ada", "lobby")
        welcome = ada.seen[0]
        assert isinstance(welcome, Welcome)
        limits = welcome.limits
        assert (limits.talk_bytes_burst, limits.talk_bytes_per_s) == (262_144, 16_384)
        text = "é" * 2_048
        acked = 0
        for number in range(100):
            ref = ada.ref()
            ada.send(
                (Say("lobby", text, ref=ref), Topic("lobby", text, ref), Whisper("ada", text, ref))[
                    number % 3
                ]
            )
            acked_now = await ada.receive_for(0.0001)
            acked += any(isinstance(event, Ack) and event.ref == ref for event in acked_now)
        assert 64 <= acked <= 65
        await trio.sleep(1)
        heard: list[Event] = []
        for _ in range(10):
            ada.send(Say("lobby", "é" * 2_048, ref=ada.ref()))
            heard += await ada.receive_for(0.0001)
        assert 4 <= len([event for event in heard if isinstance(event, Said)]) <= 5
