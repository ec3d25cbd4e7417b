"""Rows 1–6 and 12–14 of the table of faults: what can be wrong with bytes, and with how they come.

In every row there is a bystander in the room, who notices at most an arrival or a departure. What is about
the length before a frame, or the first bytes of a connection, is told here of frames alone; what WebSocket
has instead is in test_websocket.py.
"""

import tracemalloc

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import StepClock, serving_observed
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import (
    Ack,
    Error,
    Hello,
    Join,
    Ping,
    Pong,
    Said,
    Say,
    Topic,
    Welcome,
)


def padded(command: Ping | Hello, size: int) -> bytes:
    """The payload of a command, exactly so large: JSON may have spaces at its end."""
    return encode(command).ljust(size)


async def test_a_length_of_four_gigabytes(autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost") as (house, _, eve):
        stranger = house.dial()
        tracemalloc.start()
        try:
            for peer in (eve, stranger):
                peer.send_bytes(b"\xff\xff\xff\xff" + b"x" * 1_000)
                await peer.ended_with("frame_too_large")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1_000_000


async def test_exactly_the_limit_works(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (house, _, eve):
        await eve.send_all(eve.framed(padded(Ping(n=1), 65_536)))
        await eve.answer(Pong, n=1)
        bob = house.dial()
        bob.send_payloads(padded(Hello(version=1, name="bob"), 8_192))
        await bob.expect(Welcome)


async def test_what_was_said_before_a_frame_that_is_too_large_is_said(autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost") as (_, zoe, eve):
        said = [eve.framed(encode(Say("lobby", text, ref=text))) for text in ("a", "b", "c")]
        eve.send_bytes(b"".join(said) + b"\xff\xff\xff\xff")
        await eve.ended_with("frame_too_large")
        for text in ("a", "b", "c"):
            await zoe.expect(Said, text=text)


async def test_one_byte_more_does_not(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost", websocket=websocket) as (house, _, eve):
        eve.send_bytes(eve.framed(padded(Ping(n=1), 65_537))[:1_000])
        await eve.ended_with("frame_too_large")
        bob = house.dial()
        bob.send_bytes(bob.framed(padded(Hello(version=1, name="bob"), 8_193))[:1_000])
        await bob.ended_with("frame_too_large")


async def test_the_limit_rises_with_the_welcome(websocket: bool, autojump_clock: MockClock) -> None:
    """Judged as the server reads, not as bytes come."""
    async with serving_observed(websocket=websocket) as (house, _, _eve):
        bob = house.dial(buffer_bytes=100_000)
        bob.send_payloads(encode(Hello(version=1, name="bob")), padded(Ping(n=1), 60_000))
        await bob.expect(Welcome)
        await bob.expect(Pong, n=1)


async def test_a_length_of_zero(autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost") as (house, _, eve):
        stranger = house.dial()
        for peer in (eve, stranger):
            peer.send_bytes(bytes(4))
            await peer.ended_with("bad_frame")


async def test_a_frame_dribbled_and_whole_in_time(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        frame = eve.packed(Ping())
        for at in range(0, len(frame), 3):
            eve.send_bytes(frame[at : at + 3])
            await trio.sleep(1)
        await eve.answer(Pong)


async def test_a_frame_dribbled_for_too_long(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost", websocket=websocket) as (_, _, eve):
        since = trio.current_time()
        for byte in eve.packed(Ping())[:12]:
            eve.send_bytes(bytes([byte]))
            await trio.sleep(1)
        await eve.ended_with("frame_timeout")
        assert trio.current_time() - since <= 12, "from the first byte, whatever came behind it"


async def test_one_byte_per_read(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (house, _, _eve):
        bob = house.dial(buffer_bytes=1)
        async with trio.open_nursery() as nursery:
            hello = encode(Hello(version=1, name="bob"))
            nursery.start_soon(bob.send_all, bob.framed(hello, encode(Ping(n=1)), b"?"))
            await bob.expect(Welcome)
            await bob.expect(Pong, n=1)
            await bob.expect(Error, code="bad_message")


@pytest.mark.parametrize("in_what", ["frames", "messages", "one message"])
async def test_a_thousand_commands_in_one_segment(in_what: str, autojump_clock: MockClock) -> None:
    """One read holds thousands: another session's message is answered long before the last of them."""
    work = StepClock(1e-5)
    async with serving_observed(websocket=in_what != "frames", work_clock=work) as (_, zoe, eve):
        pings = [encode(Ping(n=n)) for n in range(2_000)]
        async with trio.open_nursery() as nursery:
            eve.send_payloads(*([b"\n".join(pings)] if in_what == "one message" else pings))
            nursery.start_soon(eve.receive_for)
            await zoe.say("may I?")
            before = len([event for event in eve.seen if isinstance(event, Pong)])
        assert before < 1_500
        assert [event for event in eve.seen if isinstance(event, Pong)] == [Pong(n) for n in range(2_000)]


async def test_the_end_of_input_between_two_frames(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost", websocket=websocket) as (_, _, eve):
        eve.send(Say("lobby", "one", ref="s1"), Topic("lobby", "two", ref="s2"), Ping(n=3))
        eve.send_eof()
        await eve.answer(Ack, ref="s1", seq=2)
        await eve.answer(Ack, ref="s2", seq=3)
        await eve.answer(Pong, n=3)
        assert await eve.ended() is None


async def test_the_end_of_input_inside_a_frame(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost", websocket=websocket) as (_, zoe, eve):
        eve.send_bytes(eve.packed(Say("lobby", "whole", ref="s"), Say("lobby", "half"))[:-1])
        eve.send_eof()
        await eve.answer(Ack, ref="s", seq=2)
        assert await eve.ended() is None
        await zoe.answer(Said, text="whole")


@pytest.mark.parametrize(
    "hail",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"NICK ada\r\nUSER ada 0 * :Ada\r\n",
        bytes(range(255, 0, -1)) * 100,
        b"hi",
        b"\0\0\0\x05hello",
    ],
    ids=["ssh", "irc", "noise", "two bytes", "a frame of text"],
)
async def test_what_is_none_of_ours(hail: bytes, autojump_clock: MockClock) -> None:
    """One goodbye and the close; nothing at all is logged, which is less than a line a second."""
    async with serving_observed() as (house, _, _eve):
        stranger = house.dial()
        stranger.send_bytes(hail)
        bye = await stranger.ended()
        assert bye is not None and bye.code in ("frame_too_large", "hello_timeout")
        assert all(isinstance(event, Error) for event in stranger.seen[:-1])


@pytest.mark.parametrize("begun", [b"", b"\0", b"\0\0\0\x10half"])
async def test_who_begins_and_never_gets_on(begun: bytes, autojump_clock: MockClock) -> None:
    async with serving_observed() as (house, _, _eve):
        stranger = house.dial()
        stranger.send_bytes(begun)
        since = trio.current_time()
        await stranger.ended_with("hello_timeout")
        assert trio.current_time() - since <= 12


async def test_a_command_before_hello(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (house, _, _eve):
        bob = house.dial()
        bob.send(Join("lobby", ref="j"), Ping(ref="p"))
        await bob.expect(Error, code="bad_message", ref="j")
        await bob.expect(Error, code="bad_message", ref="p")
        await bob.hello("bob")


async def test_a_second_hello(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        eve.send(Hello(version=1, name="mallory", token="m" * 22, ref="h"))
        await eve.answer(Error, code="bad_message", ref="h")
        await eve.say("still me")
        await eve.answer(Said, by="eve", text="still me")
