"""Rows 8–11, 15, 17, 19, 20, 32 and 33 of the table of faults: faults in messages.

In each test an observer is in the room, which may see only members that join and leave. All tests run in both
dialects.
"""

import json
import logging

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import serving, serving_observed
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import EntryPage
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import (
    Ack,
    Error,
    Hello,
    History,
    Join,
    Leave,
    Ping,
    Pong,
    Room,
    Said,
    Say,
    Topic,
    Who,
)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"say","room":"lobby","text":"\xff"}',
        b'{"type":"say","room":"lobby","text":"\xc0\xaf"}',
        b'{"type":"say","room":"lobby","text":"\xed\xa0\x80"}',
        b'{"type":"say","room":"lobby","text":"\xf4\x90\x80\x80"}',
        b'{"type":"say","room":"lobby","text":"cut \xe2\x82"}',
    ],
    ids=["invalid", "overlong", "surrogate", "beyond", "cut"],
)
async def test_invalid_utf_8_is_never_relayed(
    payload: bytes, websocket: bool, autojump_clock: MockClock
) -> None:
    """In WebSocket it is a broken frame, which ends the connection (RFC 6455, 8.1)."""
    async with serving_observed(websocket=websocket) as (_, zoe, eve):
        eve.send_payloads(payload)
        if websocket:
            await eve.ended_with("bad_frame")
        else:
            await eve.answer(Error, code="bad_message")
        assert await zoe.presence_changes() == (["-eve lost"] if websocket else [])
        assert {entry.by for entry in zoe.entries()} == {"zoe"}


@pytest.mark.parametrize("text", [r"\ud800", r"\udc00\ud800"], ids=["half", "reversed"])
async def test_a_lone_surrogate_is_never_relayed(
    text: str, websocket: bool, autojump_clock: MockClock
) -> None:
    """It is escaped as JSON allows, so the bytes are valid UTF-8."""
    async with serving_observed(websocket=websocket) as (_, zoe, eve):
        eve.send_payloads(b'{"type":"say","room":"lobby","text":"%s"}' % text.encode())
        await eve.answer(Error, code="bad_message")
        assert await zoe.presence_changes() == []
        assert {entry.by for entry in zoe.entries()} == {"zoe"}


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"type":"ping","x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
        b'{"type":"ping","n":' + b"9" * 60_000 + b"}",
        b'{"type":"ping","n":-' + b"9" * 60_000 + b"}",
        b'{"type":"ping","n":1e' + b"9" * 60_000 + b"}",
        b'{"type":"ping","n":NaN}',
        b'{"type":"ping","n":Infinity}',
        b'{"type":"ping","n":1.5}',
        b'{"type":"ping","n":-1}',
        b'{"type":"ping","n":9007199254740992}',
        b"null",
        b"[]",
        b'"ping"',
        b'{"type":"ping"}{"type":"ping"}',
        b'{"type":"ping"',
    ],
    ids=lambda payload: payload[:24].decode(),
)
async def test_json_that_is_too_much(payload: bytes, websocket: bool, autojump_clock: MockClock) -> None:
    """The error is sent at once, and so is the reply to the next command."""
    async with serving_observed(websocket=websocket) as (_, _, eve):
        await eve.send_all(eve.framed(payload, encode(Ping(n=7))))
        await eve.answer(Error, code="bad_message")
        await eve.answer(Pong, n=7)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "say", "room": "lobby", "text": "hi", "bold": True}, "bold"),
        ({"type": "say", "room": "lobby", "text": 3}, "text"),
        ({"type": "say", "room": "lobby", "text": None}, "text"),
        ({"type": "say", "room": "lobby"}, "text"),
        ({"type": "say", "text": "hi"}, "room"),
        ({"type": "say", "room": "lobby", "text": "hi", "action": "yes"}, "action"),
        ({"type": "join", "room": "attic", "recent": 201}, "recent"),
        ({"type": "join", "room": "attic", "recent": None}, "recent"),
        ({"type": "join", "room": "attic", "after": 3}, "epoch"),
        ({"type": "history", "room": "lobby", "limit": 0}, "limit"),
        ({"type": "hello", "name": "eve"}, "version"),
        ({"type": "dance"}, "type"),
        ({"type": 3}, "type"),
        ({"room": "lobby"}, "type"),
        ({}, "type"),
    ],
    ids=str,
)
async def test_the_field_at_fault_is_named(
    message: dict[str, object], field: str, websocket: bool, autojump_clock: MockClock
) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        eve.send_payloads(json.dumps(message | {"ref": "x"}).encode())
        await eve.answer(Error, code="bad_message", field=field)
        eve.send_payloads(json.dumps(message | {"ref": "x"}).encode())
        assert (await eve.answer(Error, code="bad_message")).ref == "x"
        eve.send(Ping())
        await eve.answer(Pong)


async def test_a_ref_that_is_none(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        for ref in (3, None, "", "x" * 65, ["x"]):
            eve.send_payloads(json.dumps({"type": "ping", "ref": ref}).encode())
            await eve.answer(Error, code="bad_message", field="ref", ref="")


@pytest.mark.parametrize("more", [{}, {"new": ["things"]}], ids=str)
async def test_another_version(more: dict[str, object], websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (harness, _, _eve):
        hello = {"type": "hello", "version": 2, "name": "bob", "ref": "h", **more}
        bob = harness.dial()
        bob.send_payloads(json.dumps(hello).encode())
        bye = await bob.ended_with("version")
        assert "version 1" in bye.detail


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "x" * 33,
        "a\0",
        "\x1b[1m",
        "a\nb",
        "a\u200bb",
        "a\u202eb",
        "\u2066a",
        "@a",
        "#a",
        "/a",
        "＠a",
    ],
    ids=ascii,
)
async def test_a_name_that_is_none(name: str, websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (harness, _, _eve):
        bob = harness.dial()
        bob.send(Hello(version=1, name=name, ref="h"))
        await bob.expect(Error, code="bad_name", field="name", ref="h")
        await bob.hello("bob")
        await bob.join("attic")


async def test_three_ways_to_write_a_name(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (harness, _, _eve):
        await harness.enter("Ada", "attic")
        for name in ("ada", "ADA", "ａｄａ"):
            peer = harness.dial()
            peer.send(Hello(version=1, name=name, ref="h"))
            await peer.expect(Error, code="name_taken", field="name", ref="h")
            await peer.hello(f"{name}2" if name == "ada" else f"not{name}")
            peer.link.close()
            await trio.sleep(1)


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;title\x07", "\a", "\x9b2J", "\x9d0;x\x9c"], ids=ascii)
async def test_a_text_that_talks_to_terminals(text: str, websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, zoe, eve):
        for command in (Say("lobby", f"hi {text}", ref="x"), Topic("lobby", f"hi {text}", ref="x")):
            eve.send(command)
            await eve.answer(Error, code="bad_message", field="text", ref="x")
        assert await zoe.presence_changes() == []
        assert {entry.by for entry in zoe.entries()} == {"zoe"}


@pytest.mark.parametrize(
    "text",
    ["x" * 4_096, "é" * 2_048, "😀" * 1_024, "\n".join(["x"] * 100), "a\tb\nc"],
    ids=lambda text: text[:5],
)
async def test_the_largest_texts_work(text: str, websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, zoe, eve):
        await eve.say(text)
        await zoe.answer(Said, by="eve", text=text)


@pytest.mark.parametrize(
    "text", ["x" * 4_097, "é" * 2_048 + "x", "😀" * 1_025, "\n".join(["x"] * 101)], ids=lambda text: text[:5]
)
async def test_larger_ones_do_not(text: str, websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        eve.send(Say("lobby", text, ref="x"))
        await eve.answer(Error, code="too_long", field="text", ref="x")


async def test_two_hundred_messages_in_a_second(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, zoe, eve):
        eve.send(*[Say("lobby", f"number {n}", ref=f"s{n}") for n in range(200)])
        heard = await eve.receive_for()
        acks = [event.ref for event in heard if isinstance(event, Ack)]
        errors = [event for event in heard if isinstance(event, Error)]
        assert acks == [f"s{n}" for n in range(20)]
        assert [error.ref for error in errors] == [f"s{n}" for n in range(20, 200)]
        assert {(error.code, error.retry_after_s) for error in errors} == {("rate_limited", 1)}
        assert await zoe.presence_changes() == []
        await eve.say("five a second from then on")


async def test_three_hundred_joins(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        for n in range(150):
            eve.send(Join(f"room{n % 50}", ref="j"), Leave(f"room{n % 50}", ref="l"))
        heard = await eve.receive_for()
        done = [event for event in heard if isinstance(event, Room | Ack)]
        assert len(done) == 200
        errors = [event for event in heard if isinstance(event, Error)]
        assert [(error.code, error.retry_after_s) for error in errors] == [("rate_limited", 1)] * 100


async def test_a_hundred_questions(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        eve.send(*[Who("lobby", ref=f"w{n}") for n in range(100)])
        errors = [event for event in await eve.receive_for() if isinstance(event, Error)]
        assert [error.ref for error in errors] == [f"w{n}" for n in range(50, 100)]
        assert {(error.code, error.retry_after_s) for error in errors} == {("rate_limited", 1)}


async def test_a_second_session_wins_no_second_burst(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (harness, _, eve):
        again = await harness.enter("eve", "lobby", token=eve.token)
        for n, peer in enumerate([eve, again] * 10):
            peer.send(Say("lobby", f"number {n}", ref=f"s{n}"))
            await peer.answer(Ack, ref=f"s{n}")
        for peer in (eve, again):
            peer.send(Say("lobby", "one too many", ref="x"))
            await peer.answer(Error, code="rate_limited", ref="x")


async def test_a_hundred_and_one_rooms(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        for n in range(99):
            await eve.join(f"room{n}")
        eve.send(Join("one too many", ref="j"), Join("too-many", ref="k"))
        await eve.answer(Error, code="bad_room", ref="j")
        await eve.answer(Error, code="too_many_rooms", field="room", ref="k")
        eve.send(Leave("room5", ref="l"))
        await eve.answer(Ack, ref="l")
        await eve.join("too-many")


class ReadBugStore(MemoryStore):
    """A store with a bug in reads."""

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError("a bug of our own")


async def test_an_exception_in_a_command_s_handler(
    websocket: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(store=ReadBugStore(), websocket=websocket) as harness:
        zoe = await harness.observer()
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        eve.send(Ping(n=1), History("lobby", ref="h"), Ping(n=2))
        await eve.answer(Pong, n=1)
        bye = await eve.ended_with("internal")
        assert "bug" not in bye.detail, "the peer gets no details of the bug"
        assert await zoe.presence_changes() == ["-eve internal"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError
    caplog.clear()


async def test_an_exception_in_a_writer(
    websocket: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The bug is in a read of the writer, not of a command."""
    async with serving(
        store=ReadBugStore(), rate_limit=False, tail_bytes=1, tails_bytes=1, websocket=websocket
    ) as harness:
        zoe = await harness.observer()
        eve = await harness.enter("eve", "lobby", buffer_bytes=500)
        assert await zoe.presence_changes() == ["+eve"]
        for n in range(20):
            await zoe.say(f"number {n}")
        await eve.ended_with("internal")
        assert await zoe.presence_changes() == ["-eve internal"]
    (record,) = caplog.records
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError
    caplog.clear()
