"""Events as lines of text."""

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.client import ClientEvent, Disconnected, Reconnected
from trio_chat.terminal import show
from trio_chat.terminal.escape import escape
from trio_chat.wire.messages import (
    Departure,
    Error,
    Found,
    Gap,
    HistoryPage,
    Members,
    Named,
    Presence,
    Renaming,
    Room,
    RoomListing,
    Said,
    TopicChanged,
    TypingNotice,
    Whispered,
)

AT = 1_790_000_000_000  # 14:13:20 UTC on a day in September
EVIL = "\x1b[2J\u202e\n"


def room(name: str, topic: str = "") -> Room:
    return Room(room=name, epoch="e", resumed=False, first=1, head=0, members=3, topic=topic)


@pytest.fixture(autouse=True)
def _in_vienna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (Said("lobby", 1, AT, "ada", "hello"), ["15:13 ada: hello"]),
        (Said("lobby", 1, AT, "ada", "waves", action=True), ["15:13 * ada waves"]),
        (
            Said("lobby", 1, AT, "ada", "one\n12:04 bob: two\tthree"),
            ["15:13 ada: one", "      12:04 bob: two    three"],
        ),
        (Said("garden", 1, AT, "eve", "a\nb"), ["[garden] 15:13 eve: a", "[garden]       b"]),
        (TopicChanged("lobby", 2, AT, "ada", "ducks"), ["15:13 -- ada set the topic: ducks"]),
        (Presence("lobby", 3, joined=["bob"]), ["-- bob joined (3 here)"]),
        (Presence("lobby", 4, joined=["bob", "ada", "eve"]), ["-- bob, eve joined (4 here)"]),
        (Presence("lobby", 1, joined=["ada"]), []),
        (Presence("lobby", 2, left=[Departure("bob", "lost")]), ["-- bob left (lost)"]),
        (Presence("lobby", 2, left=[Departure("bob", "quit")]), ["-- bob left (2 here)"]),
        (
            Presence(
                "lobby",
                5,
                left=[
                    Departure("bob", "timeout"),
                    Departure("eve", "left"),
                    Departure("joe", "timeout"),
                    Departure("ada", "lost"),
                ],
            ),
            ["-- bob, joe left (timeout)", "-- eve left (5 here)"],
        ),
        (Presence("lobby", 2, renamed=[Renaming("bob", "rob")]), ["-- bob is rob now"]),
        (
            Presence("lobby", 900, joined=["bob"], more=True),
            ["-- bob joined (900 here)", "-- more members joined or left (900 here)"],
        ),
        (Presence("garden", 2, joined=["bob"]), ["[garden] -- bob joined (2 here)"]),
        (Whispered("bob", "ada", "psst", AT), ["15:13 bob whispers: psst"]),
        (Whispered("ada", "bob", "what?", AT), ["15:13 you whisper to bob: what?"]),
        (Named("eva"), ["-- you are eva now"]),
        (Members("lobby", ["ada", "bob"], 2, more=False), ["-- here: ada, bob (2 here)"]),
        (Members("lobby", ["ada", "bob"], 900, more=True), ["-- here: ada, bob and 898 more (900 here)"]),
        (Gap("lobby", 5, 7, kept=True), ["-- 1 line not shown here"]),
        (Gap("lobby", 5, 9, kept=False), ["-- 3 lines no longer kept"]),
        (Disconnected("connection lost: \x1b", 0.5), ["-- connection lost: ^[; reconnecting"]),
        (Reconnected(0.2), ["-- reconnected after 1 s"]),
        (Reconnected(119.4), ["-- reconnected after 119 s"]),
        (Reconnected(7100), ["-- reconnected after 118 min"]),
        (Reconnected(7200), ["-- reconnected after 2 h"]),
        (room("lobby", "ducks"), ["-- lobby: 3 here, about: ducks (its earlier history is gone)"]),
        (Error("forbidden", "no"), ["-- no (forbidden)"]),
        (TypingNotice("lobby", "bob"), []),
    ],
)
def test_event_lines(event: ClientEvent, lines: list[str]) -> None:
    assert show.event_lines(event, me="ada", room="lobby") == lines


def test_reply_lines() -> None:
    assert show.room_lines(room("lobby")) == ["-- lobby: 3 here"]
    assert show.room_lines(room("lobby", "ducks\nand geese")) == ["-- lobby: 3 here, about: ducks and geese"]
    assert show.rooms_lines([]) == ["-- no room has members"]
    listings = [RoomListing("lobby", 3, "ducks"), RoomListing("pond", 1, "")]
    assert show.rooms_lines(listings) == ["-- lobby: 3 here, about: ducks", "-- pond: 1 here"]


def test_history_lines_have_dates_and_say_whether_there_is_more() -> None:
    entries: list[Said | TopicChanged] = [
        Said("lobby", 8, AT, "ada", "one\ntwo"),
        TopicChanged("lobby", 9, AT, "bob", "ducks"),
    ]
    lines = ["2026-09-21 15:13 ada: one", "      two", "2026-09-21 15:13 -- bob set the topic: ducks"]
    assert show.history_lines(HistoryPage("lobby", entries, more=True)) == [
        *lines,
        "-- 2 lines of lobby; there is more (/history)",
    ]
    assert show.history_lines(HistoryPage("lobby", entries, more=False)) == [
        *lines,
        "-- 2 lines of lobby; nothing earlier is kept",
    ]
    assert show.history_lines(HistoryPage("lobby", [], more=False)) == [
        "-- no lines of lobby; nothing earlier is kept"
    ]


def test_search_lines_have_room_and_date_and_end_with_the_newest() -> None:
    entries: list[Said | TopicChanged] = [
        Said("pond", 2, AT + 60_000, "bob", "ducks", action=True),
        Said("lobby", 7, AT, "ada", "duck\n?"),
    ]
    lines = [
        "[lobby] 2026-09-21 15:13 ada: duck",
        "[lobby]       ?",
        "[pond] 2026-09-21 15:14 * bob ducks",
    ]
    assert show.search_lines(Found(entries, more=True)) == [
        *lines,
        "-- 2 lines found; there may be more (/search)",
    ]
    assert show.search_lines(Found(entries, more=False)) == [*lines, "-- 2 lines found"]
    assert show.search_lines(Found([], more=False)) == ["-- nothing found"]
    assert show.search_lines(Found([], more=True)) == ["-- nothing found; there may be more (/search)"]


@pytest.mark.parametrize("at", [10**22, -(10**22), 10**400], ids=["far", "past", "beyond"])
def test_a_time_beyond_the_calendar_is_shown_as_dashes(at: int) -> None:
    assert show.clock(at) == "--:--"
    assert show.search_lines(Found([Said("lobby", 1, at, "ada", "hm")], more=False))[0] == (
        "[lobby] ---------- --:-- ada: hm"
    )


texts = st.text(st.characters(codec=None)) | st.just(EVIL)
numbers = st.integers(-(2**60), 2**60)


@given(texts, texts, texts, numbers, st.booleans())
def test_all_text_from_peers_is_escaped(a: str, b: str, c: str, n: int, flag: bool) -> None:
    events: list[ClientEvent] = [
        Said(a, n, n, b, c, flag),
        TopicChanged(a, n, n, b, c),
        Presence(a, n, [b], [Departure(c, b)], [Renaming(b, c)], flag),
        Whispered(a, b, c, n),
        Named(a),
        Members(a, [b, c], n, flag),
        Gap(a, n, n, flag),
        Error(a, b),
        TypingNotice(a, b),
        Disconnected(a, n),
        room(a, b),
    ]
    lines = [line for event in events for line in show.event_lines(event)]
    lines += show.room_lines(room(a, b)) + show.rooms_lines([RoomListing(a, n, b)])
    entries: list[Said | TopicChanged] = [Said(a, n, n, b, c, flag), TopicChanged(a, n, n, b, c)]
    lines += show.history_lines(HistoryPage(a, entries, flag)) + show.search_lines(Found(entries, flag))
    assert [escape(line) for line in lines] == lines


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("memory", "in memory"),
        ("forever", "forever"),
        ("90 days", "for 90 days"),
        ("7\x1b", "for 7^["),
        ("at most a few\x1b", "in part: at most a few^["),
    ],
)
def test_retention_text(kept: str, words: str) -> None:
    assert show.retention(kept) == words


def test_json_is_the_wire_event_on_one_line() -> None:
    line = show.as_json(Said("lobby", 1, AT, "ada", EVIL))
    assert json.loads(line) == {
        "type": "said",
        "room": "lobby",
        "seq": 1,
        "at": AT,
        "by": "ada",
        "text": EVIL,
    }
    assert escape(line) == line
