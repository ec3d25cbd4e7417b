"""The keepalive sweep: timeouts of the hello, of frames, and of silence."""

import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, packed, serving
from tests.server.stores import SlowStore
from trio_chat.wire.messages import Ack, Error, Hello, Join, Ping, Pong, Say


async def test_a_silent_connection_is_ended_after_ten_seconds(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        eve = harness.dial()
        await eve.ended_with("hello_timeout")
        assert 10 <= trio.current_time() <= 12


async def test_refused_hellos_do_not_extend_the_timeout(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        eve = harness.dial()
        for _ in range(5):
            eve.send(Hello(version=1, name="not a name"))
            await eve.expect(Error, code="bad_name")
            await trio.sleep(1.9)
        await eve.ended_with("hello_timeout")
        assert trio.current_time() <= 12


async def test_a_frame_must_be_complete_within_ten_seconds_of_its_first_byte(
    autojump_clock: MockClock,
) -> None:
    async with serving() as harness:
        eve = await harness.enter("eve", "lobby")
        with trio.move_on_after(15):
            await _dribble(eve, packed(Ping(n=1)))
        await eve.ended_with("frame_timeout")
        assert trio.current_time() <= 17, "single bytes do not extend the timeout"


async def _dribble(peer: RawClient, data: bytes) -> None:
    for byte in data:
        peer.send_bytes(bytes([byte]))
        await trio.sleep(1)


async def test_each_frame_has_ten_seconds(autojump_clock: MockClock) -> None:
    """The timeout restarts with a frame whose first byte arrived with the last byte of the previous one."""
    async with serving() as harness:
        eve = await harness.enter("eve", "lobby")
        frames = packed(Ping(n=1), Ping(n=2), Ping(n=3))
        size = len(frames) // 3
        sent = 0
        for stop in (1, size + 1, 2 * size + 1, 3 * size):
            eve.send_bytes(frames[sent:stop])
            sent = stop
            await trio.sleep(8)
        for n in (1, 2, 3):
            await eve.expect(Pong, n=n)


async def test_silence_for_a_minute_ends_a_session(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        for _ in range(7):
            zoe.send(Ping())
            heard = await zoe.receive_for(8)
            assert heard == [Pong()]
        assert await zoe.presence_changes(10) == ["-eve timeout"]
        await eve.ended_with("ping_timeout")


async def test_a_minute_counts_from_the_hello(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        eve = harness.dial()
        await trio.sleep(9)
        await eve.hello("eve")
        await trio.sleep(58)
        eve.send(Ping())
        await eve.expect(Pong)


async def test_any_command_restarts_the_ping_timeout(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        eve = await harness.enter("eve", "lobby")
        for _ in range(5):
            await trio.sleep(50)
            eve.send_payloads(b"{}")  # even an invalid one
            await eve.expect(Error)


async def test_the_timeout_is_suspended_while_the_server_does_not_read(autojump_clock: MockClock) -> None:
    """A query that takes two minutes is the journal's fault, not the peer's."""
    async with serving(store=SlowStore(open_s=120)) as harness:
        eve = await harness.enter("eve")
        await eve.join("lobby")
        await trio.sleep(50)
        eve.send(Ping())
        await eve.expect(Pong)


async def test_waiting_for_the_queue_suspends_the_ping_timeout(autojump_clock: MockClock) -> None:
    store = SlowStore(commit_s=100)
    async with serving(store=store, queue_entries=1) as harness:
        eve = await harness.enter("eve", "lobby")
        for n in range(3):
            eve.send(Say("lobby", f"number {n}", ref=f"s{n}"))
        for n in range(3):
            await eve.answer(Ack, ref=f"s{n}", seq=n + 1)
            for _ in range(2):
                await trio.sleep(40)
                eve.send(Ping())


async def test_hello_and_the_first_messages_in_one_segment_are_within_the_rate(
    autojump_clock: MockClock,
) -> None:
    """The rates of a connected member count from this hello, not from the start of the connection."""
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        late = harness.dial()
        await trio.sleep(9)
        assert await ada.say("one") == 1
        late.send(Hello(version=1, name="ada", token=ada.token), Join("lobby"), Say("lobby", "two", ref="s"))
        await late.answer(Ack, ref="s", seq=2)


async def test_the_sweep_reaches_all_connections(autojump_clock: MockClock) -> None:
    """More connections than one step of the sweep checks."""
    async with serving() as harness:
        silent = [harness.dial(buffer_bytes=1_000) for _ in range(2_100)]
        zoe = await harness.observer()
        await trio.sleep(12)
        assert harness.server.sessions == 1
        for peer in (silent[0], silent[-1]):
            await peer.ended_with("hello_timeout")
        assert await zoe.presence_changes() == []
