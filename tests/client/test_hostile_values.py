"""Values that no trio-chat server sends: each ends the Chat with one line, or is accepted within bounds."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.hostile import NUMBERS, frames
from tests.client.outages import enter, next_events, reset_and_accept
from tests.client.scripted import ScriptedConnection, ScriptedServer, chatting, said, welcome
from trio_chat.client import Chat, Disconnected, Reconnected, connect
from trio_chat.client.checks import FRAME_BYTES_MIN
from trio_chat.client.delays import RECONNECT_S_MAX, RETRY_S_MAX, reconnect_s, retry_s
from trio_chat.client.exceptions import LINE_CHARACTERS_MAX, connection_lost
from trio_chat.client.keepalive import PING_S_MAX
from trio_chat.errors import ChatError, ClientError, ConnectionLost, ProtocolError, Refused
from trio_chat.wire.messages import (
    MAX_AT,
    MAX_NUMBER,
    UNSET,
    Bye,
    Error,
    Hello,
    Join,
    Members,
    Pong,
    Room,
    RoomListing,
    Rooms,
    RoomsPage,
    Said,
    Who,
)

NONSENSE = "^invalid data from the server: "
WELCOME: dict[str, Any] = msgspec.to_builtins(welcome(Hello(version=1, name="ada")))
LIMITS = ("frame_bytes", "text_bytes", "rooms", "talk_burst", "talk_per_s")


# --- welcome ------------------------------------------------------------------------------------------------


async def welcomed_with(nursery: trio.Nursery, **fields: Any) -> Chat:
    """Connect to a server whose welcome has these fields, and leave the block."""
    scripted_server = ScriptedServer()

    async def server() -> None:
        peer = await scripted_server.accept()
        hello = await peer.expect(Hello)
        limits = fields.pop("limits", {})
        if isinstance(limits, dict):
            limits = WELCOME["limits"] | limits
        await peer.send_bytes(frames(WELCOME | {"ref": hello.ref, "limits": limits} | fields))
        if await peer.command() is not None:
            await peer.say(Bye("quit", "goodbye", reconnect=False))

    nursery.start_soon(server)
    async with connect(name="ada", dial=scripted_server.dial, come_back=False) as chat:
        return chat


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("value", [0, -1, 2**53, 10**30, 10**400])
async def test_an_impossible_limit_is_a_protocol_error(nursery: trio.Nursery, limit: str, value: int) -> None:
    with pytest.raises(ProtocolError, match=f"{NONSENSE}a welcome with limits.{limit} ") as caught:
        await welcomed_with(nursery, limits={limit: value})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "fields",
    [
        {"limits": {"frame_bytes": FRAME_BYTES_MIN - 1}},
        {"limits": {"frame_bytes": 1.5}},
        {"limits": {"text_bytes": None}},
        {"limits": []},
        {"name": ""},
        {"name": "x" * 257},
        {"token": ""},
        {"token": "x" * 65},
        {"ping_s": -1},
        {"ping_s": 10**400},
        {"ping_s": 2**53},
        {"session": -1},
        {"version": 2**53},
        {"features": None},
        {"features": [1]},
        {"kept": None},
    ],
)
async def test_an_impossible_welcome_is_a_protocol_error(
    nursery: trio.Nursery, fields: dict[str, Any]
) -> None:
    with pytest.raises(ProtocolError, match=NONSENSE):
        await welcomed_with(nursery, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"limits": {"frame_bytes": FRAME_BYTES_MIN, "text_bytes": 1, "rooms": 1, "talk_burst": 1}},
        {"limits": {"frame_bytes": MAX_NUMBER, "text_bytes": MAX_NUMBER}},
        {"limits": {"of_another_time": 0, "talk_bytes_of_another_time": -1}},
        {"features": ["x"] * 5_000},
        {"features": []},
        {"ping_s": 0},
        {"ping_s": MAX_NUMBER},
        {"name": "x" * 256, "token": "x" * 64},
        {"mood": {"kind": ["sunny"]}},
    ],
)
async def test_an_unusual_welcome_is_accepted(nursery: trio.Nursery, fields: dict[str, Any]) -> None:
    assert (await welcomed_with(nursery, **fields)).welcome.features == fields.get("features", [])


# --- numbers and texts in events ----------------------------------------------------------------------------

EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "said", "room": "lobby", "seq": 1, "at": 1, "by": "bob", "text": "hi"},
    {"type": "retitled", "room": "lobby", "seq": 1, "at": 1, "by": "bob", "text": "hi"},
    {"type": "presence", "room": "lobby", "members": 1},
    {"type": "members", "room": "lobby", "names": [], "count": 1, "more": False},
    {"type": "whispered", "by": "bob", "to": "ada", "text": "psst", "at": 1},
    {"type": "gap", "room": "lobby", "after": 1, "next": 3, "kept": True},
    {"type": "error", "code": "internal", "detail": "no", "retry_after_s": 1},
    {"type": "bye", "code": "quit", "detail": "no", "reconnect": False, "after_s": 1},
    {"type": "ack", "ref": "never sent", "seq": 1},
    {"type": "pong", "n": 1},
    msgspec.to_builtins(Room(room="r", epoch="e", resumed=False, first=1, head=1, members=1, topic="")),
)
CASES = [
    (event, field, number)
    for event in EVENTS
    for field, value in event.items()
    if type(value) is int
    for number in NUMBERS
]


@pytest.mark.parametrize(("event", "field", "number"), CASES)
async def test_a_number_outside_0_to_2_to_the_53_is_a_protocol_error(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, event: dict[str, Any], field: str, number: object
) -> None:
    """It is refused before it is used in a computation, whose result could be too large for a float."""
    most = MAX_AT if field == "at" else MAX_NUMBER
    is_one = type(number) is int and 0 <= number <= most
    async with chatting(nursery, hangs_up=False) as (chat, peer):
        await peer.send_bytes(frames(event | {field: number}))
        peer.link.close()
        error: ClientError | None = None
        try:
            async for _ in chat:
                pass
        except ClientError as ended:
            error = ended
        assert isinstance(error, ConnectionLost if is_one else ProtocolError), error
        assert str(error).isprintable()


@pytest.mark.parametrize("text", ["x" * 60_000, "\x1b[2J\r\n", "\u202e", "\N{GRINNING FACE}" * 10_000])
async def test_the_message_of_any_bye_is_one_line_of_bounded_length(nursery: trio.Nursery, text: str) -> None:
    async with chatting(nursery, hangs_up=False) as (chat, peer):
        await peer.say(Bye(text[:3_000], text[:10_000], reconnect=False))
        with pytest.raises(ConnectionLost) as caught:
            await anext(chat)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 2 * LINE_CHARACTERS_MAX + 100


async def test_the_code_of_a_final_refusal_is_one_line(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        peer.reset()
        peer = await scripted_server.accept()
        hello = await peer.expect(Hello)
        await peer.say(Error("\n\x1b[2J" * 1_000, "no\n", ref=hello.ref))
        assert isinstance(await anext(chat), Disconnected)
        with pytest.raises(ConnectionLost, match="cannot reconnect") as caught:
            await anext(chat)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 1_100


# --- how long to wait ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "retry", "reconnect"),
    [
        (None, 1, 0),
        (UNSET, 1, 0),
        (0, 1, 0),
        (-5, 1, 0),
        (3, 3, 3),
        (RETRY_S_MAX, 60, 60),
        (RETRY_S_MAX + 1, 60, 61),
        (RECONNECT_S_MAX + 1, 60, 3_600),
        (MAX_NUMBER, 60, 3_600),
        (10**400, 60, 3_600),
    ],
)
def test_a_requested_delay_is_kept_within_bounds(asked: Any, retry: int, reconnect: int) -> None:
    assert (retry_s(asked), reconnect_s(asked)) == (retry, reconnect)


async def test_an_absurd_reconnect_delay_is_cut_to_an_hour_and_reported(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, random=lambda: 0) as (chat, peer):
        await peer.say(Bye("draining", "see you", reconnect=True, after_s=MAX_NUMBER))
        outage = await anext(chat)
        assert isinstance(outage, Disconnected)
        assert outage.again_s == RECONNECT_S_MAX
        assert f"it asks for a pause of {MAX_NUMBER} s, the client waits {RECONNECT_S_MAX} s" in outage.why
        await (await scripted_server.accept()).greet()
        assert trio.current_time() == RECONNECT_S_MAX
        assert isinstance(await anext(chat), Reconnected)


@pytest.mark.parametrize(
    "answer",
    [
        Bye("too_many_connections", "full", reconnect=True, after_s=MAX_NUMBER),
        Error("rate_limited", "slowly", retry_after_s=MAX_NUMBER),
    ],
)
async def test_an_absurd_reconnect_delay_before_the_welcome_is_cut_to_an_hour(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, answer: Bye | Error
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, random=lambda: 0) as (chat, peer):
        peer.reset()
        peer = await scripted_server.accept()
        hello = await peer.expect(Hello)
        await peer.say(msgspec.structs.replace(answer, ref=hello.ref))
        await (await scripted_server.accept()).greet()
        assert trio.current_time() == RECONNECT_S_MAX
        assert [type(event) for event in await next_events(chat, 2)] == [Disconnected, Reconnected]


def test_an_ordinary_reconnect_delay_is_not_mentioned() -> None:
    assert "asks for" not in str(
        connection_lost(Bye("draining", "x", reconnect=True, after_s=RECONNECT_S_MAX))
    )


@pytest.mark.parametrize(("asked_s", "wait_s"), [(0, 1), (MAX_NUMBER, RETRY_S_MAX)])
async def test_a_room_that_is_always_refused_is_requested_at_intervals(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, asked_s: int, wait_s: int
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        peer = await reset_and_accept(peer, scripted_server)
        at: list[float] = []
        while len(at) < 4:
            command = await peer.command()
            if isinstance(command, Join):
                at.append(trio.current_time())
                await peer.say(Error("rate_limited", "slowly", retry_after_s=asked_s, ref=command.ref))
            else:
                await peer.say(Pong())
        assert [later - earlier for earlier, later in pairwise(at)] == [wait_s] * 3


async def test_a_silent_server_without_pings_is_disconnected(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, ping_s=MAX_NUMBER, hangs_up=False) as (chat, peer):
        with pytest.raises(ConnectionLost, match="no data from the server"):
            await anext(chat)
        assert trio.current_time() == 2 * PING_S_MAX + 10


# --- pages --------------------------------------------------------------------------------------------------


async def pages_of_names(peer: ScriptedConnection, *pages: list[str]) -> None:
    """Answer each `who` with the next page, with `more` set; the last page is repeated endlessly."""
    asked = 0
    while (command := await peer.command()) is not None:
        if isinstance(command, Who):
            names = pages[min(asked, len(pages) - 1)]
            await peer.say(Members("lobby", names, 3, more=True, ref=command.ref))
            asked += 1


@pytest.mark.parametrize(
    "pages",
    [[["a", "b"]], [["b"], ["a"]], [["a"], ["a"]], [["", ""]], [["a", "b"], ["c", "b"]]],
)
async def test_names_that_do_not_continue_are_a_protocol_error(
    nursery: trio.Nursery, pages: list[list[str]]
) -> None:
    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(pages_of_names, peer, *pages)
        with pytest.raises(ProtocolError, match=f"{NONSENSE}a page that does not continue after"):
            await chat.who("lobby")


async def test_an_empty_page_ends_the_list_though_more_is_set(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(pages_of_names, peer, ["a"], ["b"], [])
        assert await chat.who("lobby") == ["a", "b"]


async def test_endless_names_are_a_protocol_error(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_chat.client.pagination.LISTED_BYTES_MAX", 20_000)
    pages = [[f"{page:04} {name}" for name in range(10)] for page in range(1_000)]
    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(pages_of_names, peer, *pages)
        with pytest.raises(ProtocolError, match=f"{NONSENSE}a list that does not end"):
            await chat.who("lobby")


async def test_rooms_that_do_not_continue_are_a_protocol_error(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):

        async def server() -> None:
            while isinstance(command := await peer.command(), Rooms):
                await peer.say(RoomsPage([RoomListing("lobby", 1, "")], more=True, ref=command.ref))

        nursery.start_soon(server)
        with pytest.raises(ProtocolError, match=f"{NONSENSE}a page that does not continue after 'lobby'"):
            await chat.rooms()


# --- rooms --------------------------------------------------------------------------------------------------


def room(join: Join, **fields: Any) -> dict[str, Any]:
    """Return the answer to a join, with these fields."""
    answer = Room(
        room=join.room, epoch="e", resumed=False, first=1, head=0, members=1, topic="", ref=join.ref
    )
    fitting: dict[str, Any] = msgspec.to_builtins(answer)
    return fitting | fields


@pytest.mark.parametrize("fields", [{"epoch": ""}, {"epoch": "e" * 65}, {"room": ""}, {"room": "r" * 257}])
async def test_an_impossible_rejoined_room_is_a_protocol_error(
    nursery: trio.Nursery, fields: dict[str, str]
) -> None:
    async with chatting(nursery) as (chat, peer):

        async def server() -> None:
            await peer.send_bytes(frames(room(await peer.expect(Join), **fields)))

        nursery.start_soon(server)
        with pytest.raises(ProtocolError, match=f"{NONSENSE}a room with a (room|epoch) of"):
            await chat.join("lobby")


@pytest.mark.parametrize("first", [0, 1, MAX_NUMBER])
@pytest.mark.parametrize("head", [0, 1, MAX_NUMBER])
@pytest.mark.parametrize("resumed", [False, True])
async def test_a_room_with_any_first_and_head_is_rejoined(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, first: int, head: int, resumed: bool
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, random=lambda: 0) as (chat, peer):
        for connection in range(3):
            if connection:
                peer = await reset_and_accept(peer, scripted_server)
            else:
                nursery.start_soon(chat.join, "lobby", 20)
            join = await peer.expect(Join)
            assert join.after is UNSET or 0 <= join.after <= MAX_NUMBER
            await peer.send_bytes(frames(room(join, first=first, head=head, resumed=resumed, epoch="f")))
            await wait_all_tasks_blocked()
        await peer.say(Said("lobby", MAX_NUMBER, 1, "bob", "hi"))
        kinds = [type(event) for event in await next_events(chat, 4)]
        assert kinds.count(Disconnected) == 2


@pytest.mark.parametrize("name", ["lobby", "garden", "elsewhere"])
async def test_two_rooms_that_become_one_do_no_harm(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, name: str
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, random=lambda: 0) as (chat, peer):
        await enter(chat, peer, "lobby", "garden")
        for resumed in (True, False, True):
            peer = await reset_and_accept(peer, scripted_server)
            while isinstance(join := await _next_within(peer, 1), Join):
                await peer.send_bytes(frames(room(join, room=name, resumed=resumed)))
        nursery.start_soon(chat.ping)
        await peer.say(said(1, name))
        while await anext(chat) != said(1, name):
            pass


async def test_a_leave_that_names_another_room_does_no_harm(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """The other room is being rejoined at that time, and is unknown when the answer arrives."""
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, random=lambda: 0) as (chat, peer):
        await enter(chat, peer, "lobby", "garden")
        peer = await reset_and_accept(peer, scripted_server)
        lobby, garden = await peer.expect(Join), await peer.expect(Join)
        await peer.send_bytes(frames(room(lobby, resumed=True)))
        nursery.start_soon(chat.leave, "lobby")
        leave = await peer.command()
        assert leave is not None
        await peer.send_bytes(frames({"type": "ack", "ref": leave.ref, "room": "garden"}))
        await peer.send_bytes(frames(room(garden, resumed=True)))
        await peer.say(said(1, "garden"))
        while await anext(chat) != said(1, "garden"):
            pass


async def test_a_bye_right_behind_the_second_welcome_is_another_outage(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """The task that rejoins the rooms may start after the connection has ended; then it reports nothing."""
    for random in (0.0, 0.5):
        scripted_server = ScriptedServer()
        async with chatting(
            nursery,
            scripted_server=scripted_server,
            random=lambda random=random: random,  # type: ignore[misc]
        ) as (chat, peer):
            for _ in range(10):
                peer.reset()
                peer = await scripted_server.accept()
                hello = await peer.expect(Hello)
                await peer.say(welcome(hello), Bye("draining", "not yet", reconnect=True))
            peer = await scripted_server.accept()
            await peer.greet()
            assert [type(event) for event in await next_events(chat, 2)] == [Disconnected, Reconnected]


async def test_a_broken_connection_is_not_opened_to_commands(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        connection = chat._talk._connection
        peer.reset()
        assert isinstance(await anext(chat), Disconnected)
        chat._talk.open(connection)
        assert chat._talk._direct is None
        await (await scripted_server.accept()).greet()
        assert isinstance(await anext(chat), Reconnected)


async def test_a_room_whose_name_exceeds_the_new_limit_is_left_with_an_error(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server, name = ScriptedServer(), "r" * 2_000
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        nursery.start_soon(chat.join, name)
        await peer.send_bytes(frames(room(await peer.expect(Join), room="r")))
        await wait_all_tasks_blocked()
        peer.reset()
        await (await scripted_server.accept()).greet(frame_bytes=FRAME_BYTES_MIN)
        outage, back, error = await next_events(chat, 3)
        assert isinstance(outage, Disconnected)
        assert {type(back), type(error)} == {Reconnected, Error}
        with pytest.raises(Refused, match="longer than a frame"):
            await chat.say("lobby", "x" * FRAME_BYTES_MIN)


async def _next_within(peer: ScriptedConnection, seconds: float) -> object:
    with trio.move_on_after(seconds):
        return await peer.command()
    return None


async def test_a_flood_before_the_welcome_ends_after_ten_seconds(autojump_clock: trio.abc.Clock) -> None:
    scripted_server = ScriptedServer()

    async def server() -> None:
        peer = await scripted_server.accept()
        while True:
            await peer.say(said(1), Pong(1))
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(ChatError, match="no answer from"):
            async with connect(name="ada", dial=scripted_server.dial):
                raise AssertionError("the handshake must time out")
        assert trio.current_time() == pytest.approx(10)
        nursery.cancel_scope.cancel()
