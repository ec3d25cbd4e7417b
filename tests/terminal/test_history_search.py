"""`/history` and `/search`."""

import json
from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.client.scripted import ScriptedConnection, said
from tests.terminal.client_fixture import running_client
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


class HistoryServer:
    """A server whose lobby has `head` entries and keeps those from `first` on."""

    def __init__(self, head: int, first: int = 1) -> None:
        self.head = head
        self.first = first
        self.asked: list[History] = []

    async def run(self, peer: ScriptedConnection) -> None:
        await peer.admit(head=self.head, first=self.first)
        while isinstance(command := await peer.command(), History):
            self.asked.append(command)
            assert isinstance(command.before, int)
            below = [said(seq) for seq in range(self.first, command.before)]
            page = below[-command.limit :]
            await peer.say(HistoryPage("lobby", [*page], len(page) < len(below), command.ref))
        assert isinstance(command, Quit)
        await peer.say(Bye("quit", "goodbye", reconnect=False, ref=command.ref))


def search_server(
    *answers: Callable[[str], Found | Error],
) -> Callable[[ScriptedConnection], Awaitable[list[Search]]]:
    """Return a server that replies to this many searches."""

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


async def test_each_history_page_ends_before_the_shown_entries(nursery: trio.Nursery) -> None:
    """The first page ends before the newest twenty entries, which were shown on joining."""
    server = HistoryServer(head=60, first=4)
    async with running_client(nursery, server.run) as client:
        client.type("/history 30", "/history", "/history")
    assert [(each.before, each.limit) for each in server.asked] == [(41, 30), (11, 20), (4, 20)]
    shown = [line.partition("number ")[2] for line in client.output.lines if "number" in line]
    assert shown == [str(seq) for seq in (*range(11, 41), *range(4, 11))]
    assert [line for line in client.output.lines if line.startswith("-- ")] == [
        "-- lobby: 2 here",
        "-- 30 lines of lobby; there is more (/history)",
        "-- 7 lines of lobby; nothing earlier is kept",
        "-- no lines of lobby; nothing earlier is kept",
    ]


async def test_history_restarts_after_leaving_and_rejoining_a_room(
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

    async with running_client(nursery, server) as client:
        client.type("/history", "/leave", "/join lobby", "/history", "/leave", "/history")
    assert [each.before for each in asked] == [41, 41]
    assert client.output.messages.count("you are in no room (/join ROOM); not done: /history") == 1


async def test_history_as_json_is_the_wire_event(nursery: trio.Nursery) -> None:
    async with running_client(nursery, HistoryServer(head=22).run, as_json=True) as client:
        client.type("/history")
    page = json.loads(client.output.lines[-1])
    assert page["type"] == "history"
    assert [entry["seq"] for entry in page["entries"]] == [1, 2]


# --- /search ----------------------------------------------------------------------------------------


async def test_search_sends_the_typed_text_and_continues_with_the_next_page(
    nursery: trio.Nursery,
) -> None:
    asked: list[Search] = []

    async def server(peer: ScriptedConnection) -> None:
        play = search_server(
            lambda ref: Found([said(9), said(2)], more=True, ref=ref, next="there"),
            lambda ref: Found([], more=True, ref=ref, next="further"),
            lambda ref: Found([said(1)], more=False, ref=ref),
        )
        asked.extend(await play(peer))

    async with running_client(nursery, server, features=["search"]) as client:
        client.type("/search", '/search  number* OR "two  words" ', "/search", "/search", "/search")
    assert [(each.text, each.room, each.next) for each in asked] == [
        ('number* OR "two  words"', "", next) for next in ("", "there", "further")
    ]
    assert [line.partition("bob: ")[2] or line for line in client.output.lines[1:]] == [
        "number 2",
        "number 9",
        "-- 2 lines found; there may be more (/search)",
        "-- nothing found; there may be more (/search)",
        "number 1",
        "-- 1 line found",
    ]
    assert client.output.messages == 2 * "-- no more search results (/search TEXT); not done: /search\n"


async def test_search_as_json_is_the_wire_event(nursery: trio.Nursery) -> None:
    play = search_server(lambda ref: Found([said(9)], more=False, ref=ref))
    async with running_client(nursery, play, as_json=True, features=["search"]) as client:
        client.type("/search number")
    assert json.loads(client.output.lines[-1])["type"] == "found"


async def test_no_search_is_sent_to_a_server_without_search(nursery: trio.Nursery) -> None:
    async with running_client(nursery, search_server()) as client:
        client.type("/search ducks")
    assert client.output.messages == "-- this server has no search; not done: /search ducks\n"


@pytest.mark.parametrize("line", ["/search ducks", "/history"])
async def test_history_and_search_retry_a_rate_limit_but_not_an_unavailable_journal(
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

    async with running_client(nursery, server, features=["search"]) as client:
        client.type(line, "hello")
    assert [each.text for each in said] == ["hello"]
    assert trio.current_time() == pytest.approx(3)
    assert client.output.messages.endswith(f"-- not now; not done: {line}\n")
