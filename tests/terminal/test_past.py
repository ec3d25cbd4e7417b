"""`/history` and `/search`: what was said before, asked for."""

import json
from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.client.scripted import ScriptedConnection, said
from tests.terminal.desk import at_desk
from trio_chat.wire.messages import (
    Ack,
    Bye,
    Error,
    Found,
    History,
    HistoryPage,
    Leave,
    Quit,
    Say,
    Search,
)


class Archive:
    """A server with `head` entries in its lobby, of which it keeps those from `first` on."""

    def __init__(self, head: int, first: int = 1) -> None:
        self.head = head
        self.first = first
        self.asked: list[History] = []

    async def keep(self, peer: ScriptedConnection) -> None:
        await peer.admit(head=self.head, first=self.first)
        while isinstance(command := await peer.command(), History):
            self.asked.append(command)
            assert isinstance(command.before, int)
            below = [said(seq) for seq in range(self.first, command.before)]
            page = below[-command.limit :]
            await peer.say(HistoryPage("lobby", [*page], len(page) < len(below), command.ref))
        assert isinstance(command, Quit)
        await peer.say(Bye("quit", "goodbye", reconnect=False, ref=command.ref))


def finding(
    *answers: Callable[[str], Found | Error],
) -> Callable[[ScriptedConnection], Awaitable[list[Search]]]:
    """A server that answers so many searches."""

    async def play(peer: ScriptedConnection) -> list[Search]:
        await peer.admit()
        asked = []
        for answer in answers:
            asked.append(await peer.expect(Search))
            await peer.say(answer(asked[-1].ref))
        await peer.part()
        return asked

    return play


# --- /history ---------------------------------------------------------------------------------------


async def test_each_page_of_history_ends_where_what_is_shown_begins(nursery: trio.Nursery) -> None:
    """The first before what was shown on joining, which is the newest twenty."""
    archive = Archive(head=60, first=4)
    async with at_desk(nursery, archive.keep) as desk:
        desk.type("/history 30", "/history", "/history")
    assert [(each.before, each.limit) for each in archive.asked] == [(41, 30), (11, 20), (4, 20)]
    shown = [line.partition("number ")[2] for line in desk.screen.lines if "number" in line]
    assert shown == [str(seq) for seq in (*range(11, 41), *range(4, 11))]
    assert [line for line in desk.screen.lines if line.startswith("-- ")] == [
        "-- lobby: 2 here",
        "-- 30 lines of lobby; there is more (/history)",
        "-- 7 lines of lobby; nothing earlier is kept",
        "-- no lines of lobby; nothing earlier is kept",
    ]


async def test_a_room_that_was_left_and_joined_again_is_shown_from_its_end_again(
    nursery: trio.Nursery,
) -> None:
    asked: list[History] = []

    async def server(peer: ScriptedConnection) -> None:
        for _ in range(2):
            await peer.admit(head=60)
            asked.append(await peer.expect(History))
            await peer.say(HistoryPage("lobby", [said(21)], True, asked[-1].ref))
            await peer.say(Ack((await peer.expect(Leave)).ref, "lobby"))
        await peer.part()

    async with at_desk(nursery, server) as desk:
        desk.type("/history", "/leave", "/join lobby", "/history", "/leave", "/history")
    assert [each.before for each in asked] == [41, 41]
    assert desk.screen.talked.count("you are in no room (/join ROOM); not done: /history") == 1


async def test_history_as_json_is_the_answer(nursery: trio.Nursery) -> None:
    async with at_desk(nursery, Archive(head=22).keep, as_json=True) as desk:
        desk.type("/history")
    page = json.loads(desk.screen.lines[-1])
    assert page["type"] == "history"
    assert [entry["seq"] for entry in page["entries"]] == [1, 2]


# --- /search ----------------------------------------------------------------------------------------


async def test_a_search_asks_for_the_text_as_it_was_typed_and_goes_on_where_it_ended(
    nursery: trio.Nursery,
) -> None:
    asked: list[Search] = []

    async def server(peer: ScriptedConnection) -> None:
        play = finding(
            lambda ref: Found([said(9), said(2)], more=True, ref=ref, next="there"),
            lambda ref: Found([], more=True, ref=ref, next="further"),
            lambda ref: Found([said(1)], more=False, ref=ref),
        )
        asked.extend(await play(peer))

    async with at_desk(nursery, server, features=["search"]) as desk:
        desk.type("/search", '/search  number* OR "two  words" ', "/search", "/search", "/search")
    assert [(each.text, each.room, each.next) for each in asked] == [
        ('number* OR "two  words"', "", next) for next in ("", "there", "further")
    ]
    assert [line.partition("bob: ")[2] or line for line in desk.screen.lines[1:]] == [
        "number 2",
        "number 9",
        "-- 2 lines found; there may be more (/search)",
        "-- nothing found; there may be more (/search)",
        "number 1",
        "-- 1 line found",
    ]
    assert desk.screen.talked == 2 * "-- nothing to go on with (/search TEXT); not done: /search\n"


async def test_what_was_found_as_json_is_the_answer(nursery: trio.Nursery) -> None:
    play = finding(lambda ref: Found([said(9)], more=False, ref=ref))
    async with at_desk(nursery, play, as_json=True, features=["search"]) as desk:
        desk.type("/search number")
    assert json.loads(desk.screen.lines[-1])["type"] == "found"


async def test_a_server_that_does_not_search_is_not_asked(nursery: trio.Nursery) -> None:
    async with at_desk(nursery, finding()) as desk:
        desk.type("/search ducks")
    assert desk.screen.talked == "-- this server does not search; not done: /search ducks\n"


@pytest.mark.parametrize("line", ["/search ducks", "/history"])
async def test_a_look_at_the_past_waits_its_turn_and_for_no_journal(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, line: str
) -> None:
    said: list[Say] = []

    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        for code in ("rate_limited", "unavailable"):
            command = await peer.command()
            assert isinstance(command, Search | History)
            await peer.say(Error(code, "not now", retry_after_s=3, ref=command.ref))
        said.append(await peer.expect(Say))
        await peer.say(Ack(said[-1].ref, "lobby", 1))
        await peer.part()

    async with at_desk(nursery, server, features=["search"]) as desk:
        desk.type(line, "hello")
    assert [each.text for each in said] == ["hello"]
    assert trio.current_time() == pytest.approx(3)
    assert desk.screen.talked.endswith(f"-- not now; not done: {line}\n")
