"""Floods: endless data of a server fills a client only to its bounds, and useful events still arrive."""

import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from tests.client.hostile import frames, held, over_bounds
from tests.client.outages import enter, next_events, reset_and_accept
from tests.client.scripted import ScriptedConnection, ScriptedServer, chatting, said
from trio_chat.client import Chat
from trio_chat.client.event_size import NewestEvents, event_bytes
from trio_chat.client.inbox import INBOX_BYTES_MIN, STRANGE_ROOMS, STRAYS_BYTES, Inbox
from trio_chat.client.overflow import OVERFLOW_BYTES, Overflow
from trio_chat.errors import ConnectionLost, ProtocolError
from trio_chat.wire.messages import (
    Ack,
    Error,
    Gap,
    History,
    HistoryPage,
    Join,
    Members,
    Named,
    Ping,
    Pong,
    Presence,
    Room,
    Say,
    TypingNotice,
    Whispered,
    Who,
)

NAMES = [f"{number % 100:02}" for number in range(12_000)]  # the most objects that one frame can hold
CROWD = Presence("lobby", 3, joined=NAMES)
EMOJI = "\N{GRINNING FACE}"


def test_a_frame_of_names_weighs_many_times_its_bytes() -> None:
    assert event_bytes(CROWD) > 8 * len(frames(CROWD))
    assert event_bytes("x" * 1_000) > 1_000
    assert event_bytes(EMOJI * 1_000) > 4_000, "one wide character makes every character of a text wide"
    assert event_bytes(said(1)) > event_bytes("lobby") + event_bytes("bob") + event_bytes("number 1")


# --- the inbox ----------------------------------------------------------------------------------------------


async def pour(peer: ScriptedConnection, data: bytes, counts: list[int]) -> None:
    """Send the same bytes endlessly, and count the sends."""
    while True:
        await peer.send_bytes(data)
        counts.append(1)


async def test_endless_names_fill_the_inbox_only_to_its_bound(nursery: trio.Nursery) -> None:
    counts: list[int] = []
    async with chatting(nursery) as (chat, peer):
        with trio.CancelScope() as pouring:
            async with trio.open_nursery() as flood:
                flood.start_soon(pour, peer, frames(CROWD), counts)
                await wait_all_tasks_blocked()
                pouring.cancel()
        sizes = held(chat)
        assert over_bounds(chat, 0) == {}
        assert INBOX_BYTES_MIN < sizes["weight of the events"] < 2 * INBOX_BYTES_MIN
        assert sizes["events"] < 20, "heavy events must fill the inbox before its number of events does"
        assert await next_events(chat, sizes["events"]) == [CROWD] * sizes["events"]


async def test_endless_names_are_not_kept_while_a_request_is_open(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery) as (chat, peer):
        await enter(chat, peer, "lobby")

        async def server() -> None:
            say = await peer.expect(Say)
            for _ in range(300):
                await peer.say(CROWD, TypingNotice("lobby", "bob"))
            await peer.say(Ack(say.ref, "lobby", 1))
            who = await peer.expect(Who)
            await peer.say(Members("lobby", ["ada"], 1, more=False, ref=who.ref))

        nursery.start_soon(server)
        assert await chat.say("lobby", "hello") == 1
        assert over_bounds(chat, 1) == {}
        events: list[object] = [await anext(chat)]
        while type(events[-1]) is not Members:
            events.append(await anext(chat))
        assert 1 < len(events) < 40, "the inbox must be full, and one request must fetch the rest"


async def test_reading_resumes_when_the_program_has_taken_enough(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        sent = 60

        async def server() -> None:
            for _ in range(sent):
                await peer.say(CROWD)

        nursery.start_soon(server)
        await wait_all_tasks_blocked()
        assert len(chat._talk.inbox) < 20
        assert await next_events(chat, sent) == [CROWD] * sent


def test_the_weight_of_an_inbox_follows_what_is_taken() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 0)
    crowds = INBOX_BYTES_MIN // event_bytes(CROWD) + 1
    full = []
    for _ in range(crowds):
        inbox.put(CROWD, keep=True)
        full.append(inbox.full)
    inbox.take()
    full.append(inbox.full)
    inbox.put(CROWD, keep=True)
    full.append(inbox.full)
    inbox.take_all()
    full.append(inbox.full)
    assert full == [False] * (crowds - 1) + [True, False, True, False]
    assert inbox._weight == inbox._weighed == 0
    for seq in range(1, 1_001):
        inbox.put(said(seq), keep=True)
    assert not inbox.full
    for _ in range(1_000):
        inbox.take()
    assert not inbox.full
    assert inbox._weight == inbox._weighed == 0


def test_a_large_inbox_has_a_larger_weight_limit() -> None:
    inbox = Inbox(65_536)
    for _ in range(2 * INBOX_BYTES_MIN // event_bytes(CROWD)):
        inbox.put(CROWD, keep=True)
    assert not inbox.full


# --- rooms that were not joined ----------------------------------------------------------------------------


def test_rooms_that_were_not_joined_are_forgotten_oldest_first() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 0)
    for number in range(1_000):
        inbox.put(said(5, f"room {number}"), keep=number % 2 == 0)
        inbox.put(Gap(f"hole {number}", 2, 9, kept=False), keep=number % 2 == 0)
    assert len(inbox._positions) == STRANGE_ROOMS + 1
    assert len(inbox._lagging) <= STRANGE_ROOMS
    assert set(inbox._positions) == {"lobby", *inbox._strange}
    assert f"room {1_000 - 1}" in inbox._positions
    inbox.put(said(1), keep=True)
    assert inbox.take_all()[-1] == said(1), "the joined room is not forgotten"


def test_a_room_that_is_joined_later_is_not_forgotten() -> None:
    inbox = Inbox()
    inbox.put(said(1), keep=True)
    inbox.enter("lobby", 5)
    for number in range(2 * STRANGE_ROOMS):
        inbox.put(said(5, f"room {number}"), keep=True)
    inbox.put(said(5), keep=True)
    inbox.put(said(6), keep=True)
    assert inbox.take_all()[-1] == said(6)
    inbox.leave("lobby")
    assert len(inbox._positions) == len(inbox._strange) == STRANGE_ROOMS


def test_an_entry_before_the_first_is_asked_for_from_the_beginning() -> None:
    inbox = Inbox()
    inbox.put(said(0, "strange"), keep=False)
    inbox.put(said(3, "strange"), keep=False)
    question = inbox.question("q")
    assert isinstance(question, History) and question.after == 0


def test_the_answer_about_a_forgotten_room_is_ignored() -> None:
    inbox = Inbox()
    inbox.put(said(5, "strange"), keep=False)
    assert isinstance(inbox.question("q"), History)
    for number in range(STRANGE_ROOMS):
        inbox.put(said(5, f"room {number}"), keep=True)
    inbox.take_all()
    inbox.answer(HistoryPage("strange", [said(5, "strange")], more=False))
    assert inbox.take_all() == []


async def test_a_strange_room_with_a_name_that_fits_into_no_question_is_a_gap(nursery: trio.Nursery) -> None:
    name = "r" * 2_000
    async with chatting(nursery, inbox_events=1, frame_bytes=1_024) as (chat, peer):

        async def server() -> None:
            await peer.say(said(1), Pong(ref=(await peer.expect(Ping)).ref))
            ping = await peer.expect(Ping)
            await peer.say(said(5, name), Pong(ref=ping.ref))

        nursery.start_soon(server)
        await chat.ping()
        await chat.ping()
        assert await next_events(chat, 2) == [said(1), Gap(name, 4, 6, kept=True)]


# --- the overflow --------------------------------------------------------------------------


def test_the_overflow_is_bounded_by_weight_and_keeps_the_newest() -> None:
    beyond = Overflow(1_024)
    beyond.put(Gap("lobby", 1, 3, kept=False))
    for number in range(200):
        beyond.put(Whispered("bob", "ada", f"{number}" + EMOJI * 15_000, 1))
    assert sum(map(event_bytes, beyond._events)) < OVERFLOW_BYTES + 100_000
    events = beyond.take_all()
    assert events[0] == Gap("lobby", 1, 3, kept=False)
    assert isinstance(events[-1], Whispered) and events[-1].text.startswith("199")
    beyond.put(Whispered("bob", "ada", EMOJI * OVERFLOW_BYTES, 1))
    assert len(beyond) == 1
    beyond.put(Named("ada"))
    assert beyond.take_all() == [Named("ada")]


def test_repeated_new_histories_under_other_names_are_kept_once() -> None:
    """The outages repeat while the program takes nothing."""
    inbox = Inbox(1)
    inbox.enter("lobby 0", 0)
    for number in range(100):
        anew = Room(room=f"lobby {number}.5", epoch="e", resumed=False, first=1, head=0, members=1, topic="")
        inbox.lost()
        inbox.begin_anew(f"lobby {number}", anew, keep=False)
        inbox.lost()
        inbox.resume(f"lobby {number}.5", f"lobby {number + 1}")
    assert len(inbox) == 1
    assert len(inbox._positions) == len(inbox._lagging) == 1
    (event,) = inbox.take_all()
    assert isinstance(event, Room) and event.room == "lobby 100"


def test_unexpected_entries_are_bounded_by_weight() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 1_000)
    for seq in range(500):
        inbox.put(said(seq, text=EMOJI * 10_000), keep=True)
    assert sum(map(event_bytes, inbox.strays)) <= STRAYS_BYTES
    assert [entry.seq for entry in inbox.strays][-1] == 499


def test_the_newest_are_kept_however_many_and_however_heavy() -> None:
    newest: NewestEvents[Named] = NewestEvents(3, 500)
    for number in range(10):
        newest.append(Named(str(number)))
        assert len(newest) <= 3
    assert [event.name for event in newest] == ["7", "8", "9"]
    newest.append(Named("x" * 1_000))
    assert [len(event.name) for event in newest] == [1_000]
    newest.append(Named("y"))
    assert [event.name for event in newest] == ["y"]
    newest.clear()
    assert len(newest) == newest._weight == 0


# --- endless answers ---------------------------------------------------------------------------------


async def behind(chat: Chat, peer: ScriptedConnection, *answers: HistoryPage | Members) -> list[object]:
    """Fall behind in the lobby, send these answers, and return the events and the error of the Chat."""

    async def server() -> None:
        await peer.say(said(1), Pong(ref=(await peer.expect(Ping)).ref))
        await peer.say(said(9), Pong(ref=(await peer.expect(Ping)).ref))
        for number in range(1_000):
            command = await peer.command()
            if not isinstance(command, History | Who):
                return
            answer = answers[min(number, len(answers) - 1)]
            await peer.say(replace(answer, ref=command.ref))
        raise AssertionError("the client repeats its request endlessly")

    events: list[object] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        await chat.ping()
        await chat.ping()
        try:
            while True:
                events.append(await anext(chat))
        except ProtocolError as fault:
            events.append(str(fault).partition("from the server: ")[2])
        nursery.cancel_scope.cancel()
    return events


async def test_a_page_that_does_not_continue_is_a_protocol_error(nursery: trio.Nursery) -> None:
    page = HistoryPage("lobby", [said(1)], more=True)
    async with chatting(nursery, inbox_events=1, buffer_bytes=500) as (chat, peer):
        words = "a page of history that does not continue after 1"
        assert await behind(chat, peer, page) == [said(1), words]


async def test_a_second_page_that_does_not_continue_is_a_protocol_error(nursery: trio.Nursery) -> None:
    pages = [HistoryPage("lobby", [said(2), said(1)], more=True)]
    async with chatting(nursery, inbox_events=1, buffer_bytes=500) as (chat, peer):
        words = "a page of history that does not continue after 2"
        assert await behind(chat, peer, *pages) == [said(1), said(2), words]


async def test_an_answer_to_another_request_is_a_protocol_error(nursery: trio.Nursery) -> None:
    names = Members("lobby", ["ada"], 1, more=True)
    async with chatting(nursery, inbox_events=1, buffer_bytes=500) as (chat, peer):
        assert await behind(chat, peer, names) == [said(1), "unexpected answer: members"]


def test_a_gap_that_goes_backwards_is_ignored() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 5)
    for gap in (Gap("lobby", 9, 3, True), Gap("lobby", 0, 0, True), Gap("lobby", 90, 50, False)):
        inbox.put(gap, keep=True)
        inbox.put(gap, keep=False)
    inbox.put(said(6), keep=True)
    assert inbox.take_all() == [said(6)]


# --- bytes --------------------------------------------------------------------------------------------------


async def test_a_frame_sent_byte_by_byte_does_not_count_as_activity(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, hangs_up=False) as (chat, peer):

        async def dribble() -> None:
            for byte in frames(said(1, text="x" * 1_000)):
                await peer.send_bytes(bytes((byte,)))
                await trio.sleep(5)

        nursery.start_soon(dribble)
        try:
            await anext(chat)
        except ConnectionLost as lost:
            assert "no data from the server for 60 s" in str(lost)
        assert trio.current_time() == 60


async def test_a_slow_stream_of_complete_frames_counts_as_activity(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery) as (chat, peer):

        async def dribble() -> None:
            for seq in range(1, 6):
                data = frames(said(seq))
                await peer.send_bytes(data[:20])
                await trio.sleep(25)
                await peer.send_bytes(data[20:])
                await trio.sleep(25)

        nursery.start_soon(dribble)
        assert await next_events(chat, 5) == [said(seq) for seq in range(1, 6)]


async def test_endlessly_refused_joins_leave_nothing_behind(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, random=lambda: 0) as (chat, peer):
        await enter(chat, peer, "lobby")
        for _ in range(50):
            peer = await reset_and_accept(peer, scripted_server)
            join = await peer.expect(Join)
            await peer.say(Error("unavailable", "x" * 30_000, ref=join.ref), CROWD)
        assert over_bounds(chat, 1) == {}
        assert held(chat)["requests"] == 0
