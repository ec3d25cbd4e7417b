"""Rows 1–6 and 12–14 of the table of faults: what can be wrong with bytes, and with how they come.

In every row there is a bystander in the room, who notices at most that somebody came or went.
"""

import tracemalloc

import pytest
import trio
from trio.testing import MockClock

from tests.server.peer import beside_a_bystander, packed
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import pack
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
    """The frame of a command whose payload is exactly so large: JSON may have spaces at its end."""
    return pack([encode(command).ljust(size)])


async def test_row_1_a_length_of_four_gigabytes(autojump_clock: MockClock) -> None:
    async with beside_a_bystander("-eve lost") as (house, _, eve):
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


async def test_row_2_exactly_the_limit_works(autojump_clock: MockClock) -> None:
    async with beside_a_bystander() as (house, _, eve):
        await eve.pour(padded(Ping(n=1), 65_536))
        await eve.answer(Pong, n=1)
        bob = house.dial()
        bob.send_bytes(padded(Hello(version=1, name="bob"), 8_192))
        await bob.expect(Welcome)


async def test_row_2_one_byte_more_does_not(autojump_clock: MockClock) -> None:
    async with beside_a_bystander("-eve lost") as (house, _, eve):
        eve.send_bytes(padded(Ping(n=1), 65_537)[:1_000])
        await eve.ended_with("frame_too_large")
        bob = house.dial()
        bob.send_bytes(padded(Hello(version=1, name="bob"), 8_193)[:1_000])
        await bob.ended_with("frame_too_large")


async def test_row_2_the_limit_rises_with_the_welcome(autojump_clock: MockClock) -> None:
    """Judged as the server reads, not as bytes come."""
    async with beside_a_bystander() as (house, _, _eve):
        bob = house.dial(buffer_bytes=100_000)
        bob.send_bytes(packed(Hello(version=1, name="bob")) + padded(Ping(n=1), 60_000))
        await bob.expect(Welcome)
        await bob.expect(Pong, n=1)


async def test_row_3_a_length_of_zero(autojump_clock: MockClock) -> None:
    async with beside_a_bystander("-eve lost") as (house, _, eve):
        stranger = house.dial()
        for peer in (eve, stranger):
            peer.send_bytes(bytes(4))
            await peer.ended_with("bad_frame")


async def test_row_4_a_frame_dribbled_and_whole_in_time(autojump_clock: MockClock) -> None:
    async with beside_a_bystander() as (_, _, eve):
        frame = packed(Ping())
        for at in range(0, len(frame), 2):
            eve.send_bytes(frame[at : at + 2])
            await trio.sleep(1)
        await eve.answer(Pong)


async def test_row_4_a_frame_dribbled_for_too_long(autojump_clock: MockClock) -> None:
    async with beside_a_bystander("-eve lost") as (_, _, eve):
        for byte in packed(Ping())[:12]:
            eve.send_bytes(bytes([byte]))
            await trio.sleep(1)
        await eve.ended_with("frame_timeout")


async def test_row_5_one_byte_per_read(autojump_clock: MockClock) -> None:
    async with beside_a_bystander() as (house, _, _eve):
        bob = house.dial(buffer_bytes=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bob.pour, packed(Hello(version=1, name="bob"), Ping(n=1)) + pack([b"?"]))
            await bob.expect(Welcome)
            await bob.expect(Pong, n=1)
            await bob.expect(Error, code="bad_message")


async def test_row_5_a_thousand_frames_in_one_segment(autojump_clock: MockClock) -> None:
    """One read holds thousands: whoever says something meanwhile has its answer long before the last."""
    async with beside_a_bystander() as (_, zoe, eve):
        pings = [Ping(n=n) for n in range(2_200)]
        async with trio.open_nursery() as nursery:
            eve.send(*pings)
            nursery.start_soon(eve.hears)
            await zoe.say("may I?")
            before = len([event for event in eve.seen if isinstance(event, Pong)])
        assert before < 1_500
        assert [event for event in eve.seen if isinstance(event, Pong)] == [Pong(n) for n in range(2_200)]


async def test_row_6_the_end_of_input_between_two_frames(autojump_clock: MockClock) -> None:
    async with beside_a_bystander("-eve lost") as (_, _, eve):
        eve.send(Say("lobby", "one", ref="s1"), Topic("lobby", "two", ref="s2"), Ping(n=3))
        eve.hang_up()
        await eve.answer(Ack, ref="s1", seq=2)
        await eve.answer(Ack, ref="s2", seq=3)
        await eve.answer(Pong, n=3)
        assert await eve.ended() is None


async def test_row_6_the_end_of_input_inside_a_frame(autojump_clock: MockClock) -> None:
    async with beside_a_bystander("-eve lost") as (_, zoe, eve):
        eve.send_bytes(packed(Say("lobby", "whole", ref="s"), Say("lobby", "half"))[:-1])
        eve.hang_up()
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
async def test_row_12_what_is_none_of_ours(hail: bytes, autojump_clock: MockClock) -> None:
    """One goodbye and the close; nothing at all is logged, which is less than a line a second."""
    async with beside_a_bystander() as (house, _, _eve):
        stranger = house.dial()
        stranger.send_bytes(hail)
        bye = await stranger.ended()
        assert bye is not None and bye.code in ("frame_too_large", "hello_timeout")
        assert all(isinstance(event, Error) for event in stranger.seen[:-1])


@pytest.mark.parametrize("begun", [b"", b"\0", b"\0\0\0\x10half"])
async def test_row_13_who_begins_and_never_gets_on(begun: bytes, autojump_clock: MockClock) -> None:
    async with beside_a_bystander() as (house, _, _eve):
        stranger = house.dial()
        stranger.send_bytes(begun)
        since = trio.current_time()
        await stranger.ended_with("hello_timeout")
        assert trio.current_time() - since <= 12


async def test_row_14_a_command_before_hello(autojump_clock: MockClock) -> None:
    async with beside_a_bystander() as (house, _, _eve):
        bob = house.dial()
        bob.send(Join("lobby", ref="j"), Ping(ref="p"))
        await bob.expect(Error, code="bad_message", ref="j")
        await bob.expect(Error, code="bad_message", ref="p")
        await bob.hello("bob")


async def test_row_14_a_second_hello(autojump_clock: MockClock) -> None:
    async with beside_a_bystander() as (_, _, eve):
        eve.send(Hello(version=1, name="mallory", token="m" * 22, ref="h"))
        await eve.answer(Error, code="bad_message", ref="h")
        await eve.say("still me")
        await eve.answer(Said, by="eve", text="still me")
