"""The line client before a hostile server: it goes on or ends with an error of ours, and stays small."""

from functools import partial
from random import Random

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from tests.client.hostile import TEXTS, HostileServer
from tests.client.scripted import ScriptedConnection, ScriptedServer, said
from tests.terminal.desk import Keys, Screen, at_desk
from trio_chat.client import connect
from trio_chat.errors import ChatError
from trio_chat.terminal import show
from trio_chat.terminal.commands import split_text
from trio_chat.terminal.input_kind import InputKind
from trio_chat.terminal.lines import LineClient
from trio_chat.terminal.speaker import Speaker
from trio_chat.terminal.target import Target
from trio_chat.wire.messages import (
    MAX_NUMBER,
    Error,
    Found,
    Gap,
    HistoryPage,
    Members,
    Named,
    Pong,
    Presence,
    Quit,
    Room,
    Said,
    Say,
    TopicChanged,
    Whispered,
)

TYPED = (
    "hello",
    "/me waves",
    "/who",
    "/rooms",
    "/history",
    "/history 200",
    "/search hello",
    "/search",
    "/topic a topic",
    "/msg bob psst",
    "/nick ada",
    "/join garden",
    "/join lobby",
    "/leave",
    "x" * 10_000,
)


async def visit(seed: int) -> None:
    """Type at a client of a hostile server. Raises what is no error of ours."""
    stage, keys, screen, random = ScriptedServer(), Keys(), Screen(), Random(seed)
    client = LineClient(
        keys,
        screen,
        None,
        as_json=random.random() < 0.3,
        input_kind=InputKind.LINES,
        has_commands=True,
        connect=partial(connect, dial=stage.dial, random=random.random, clock_s=trio.current_time),
    )
    for _ in range(20):
        keys.type.send_nowait(random.choice(TYPED))
    keys.type.close()
    async with trio.open_nursery() as servers:
        servers.start_soon(HostileServer(seed).serve, stage)
        try:
            with trio.move_on_after(10_000):
                await client.run(Target("ada"), ["lobby"])
        except ChatError as error:
            assert str(error).isprintable()
        servers.cancel_scope.cancel()
    shown = "\n".join(screen.lines) + screen.talked
    assert all(char == "\n" or char.isprintable() or char in "\u200c\u200d" for char in shown)


@pytest.mark.seeds(100)
def test_a_line_client_survives_a_hostile_server(seed: int) -> None:
    trio.run(visit, seed, clock=MockClock(autojump_threshold=0))


# --- what is shown ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 2**31, 10**15, 253_402_300_800_000, MAX_NUMBER, 10**30, 10**400])
def test_a_time_that_no_calendar_has_is_shown_all_the_same(at: int) -> None:
    entry = Said("lobby", 1, at, "bob", "hi")
    for line in (
        *show.event_lines(entry, room="lobby"),
        *show.event_lines(Whispered("bob", "ada", "hi", at)),
        *show.event_lines(TopicChanged("lobby", 1, at, "bob", "hi"), room="lobby"),
        *show.history_lines(HistoryPage("lobby", [entry], more=False))[:1],
        *show.found_lines(Found([entry], more=False))[:1],
    ):
        assert line.endswith("hi")


@pytest.mark.parametrize(
    ("after", "next", "words"), [(5, 3, "no lines"), (0, 0, "no lines"), (0, 2, "1 line")]
)
def test_a_gap_of_less_than_nothing_is_no_lines(after: int, next: int, words: str) -> None:
    assert show.event_lines(Gap("lobby", after, next, kept=True), room="lobby") == [
        f"-- {words} not shown here"
    ]


@pytest.mark.parametrize("text", [text for text in TEXTS if text != "\ud800"])
def test_any_text_in_any_place_is_lines_that_print(text: str) -> None:
    text = text[:3_000]
    events = (
        said(1, text, text, text),
        Presence(text, MAX_NUMBER, [text, text], more=True),
        Members(text, [text], 0, more=True),
        Error(text, text),
        Room(room=text, epoch=text, resumed=False, first=9, head=0, members=0, topic=text),
    )
    for event in events:
        lines = [*show.event_lines(event, me="ada", room="lobby"), show.as_json(event)]
        assert lines and all(line.isprintable() for line in lines)
        assert msgspec.json.decode(lines[-1], type=type(event)) == event
    assert show.kept(text).isprintable()


# --- what is said -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bytes_max", [1, 2, 3])
def test_a_limit_below_a_character_splits_into_characters(bytes_max: int) -> None:
    assert list(split_text("€\N{GRINNING FACE}é", bytes_max)) == ["€", "\N{GRINNING FACE}", "é"]
    assert list(split_text("abc", bytes_max)) == [["a", "b", "c"], ["ab", "c"], ["abc"]][bytes_max - 1]
    assert list(split_text("", bytes_max)) == [""]


async def test_an_absurd_time_to_wait_is_a_minute_and_is_said(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async def play(peer: ScriptedConnection) -> None:
        await peer.admit()
        tries = 0
        while not isinstance(command := await peer.command(), Quit):
            if isinstance(command, Say):
                assert trio.current_time() == pytest.approx(60 * tries)
                code = "rate_limited" if tries < 3 else "forbidden"
                await peer.say(Error(code, code, retry_after_s=MAX_NUMBER, ref=command.ref))
                tries += 1
            else:
                await peer.say(Pong())
        peer.link.close()

    async with at_desk(nursery, play) as desk:
        desk.type("hello")
    assert desk.screen.talked.splitlines() == [
        f"-- rate_limited; the server asks for {MAX_NUMBER} s, it is tried again every 60 s",
        "-- forbidden; not done: hello",
    ]


def test_histories_that_begin_anew_under_other_names_are_not_noted() -> None:
    """Only the rooms that one is in have a place, whatever they are called meanwhile."""
    speaker = Speaker.__new__(Speaker)
    speaker._rooms, speaker._oldest = ["lobby"], {"lobby": 7}
    for number in range(100):
        speaker.saw([_anew(f"room {number}", head=50), said(3, f"room {number}")])
    assert speaker._oldest == {"lobby": 7}
    speaker.saw([_anew("LOBBY", head=50)])
    assert speaker._oldest == {"lobby": 51}


def _anew(room: str, head: int) -> Room:
    return Room(room=room, epoch="e", resumed=False, first=1, head=head, members=1, topic="")


@pytest.mark.parametrize("answer", [Error("forbidden", "stay"), Named("ada"), Pong()])
async def test_a_server_that_refuses_a_goodbye_is_left_all_the_same(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, answer: Error | Named | Pong
) -> None:
    async def play(peer: ScriptedConnection) -> None:
        await peer.admit()
        quitting = await peer.expect(Quit)
        await peer.say(replace(answer, ref=quitting.ref))
        await trio.sleep_forever()

    async with at_desk(nursery, play) as desk:
        pass
    assert desk.failed is None
    assert trio.current_time() < 1
    nursery.cancel_scope.cancel()
