"""The line client with a hostile server: it continues or ends with an error, and uses little memory."""

from functools import partial
from random import Random

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from tests.client.hostile import TEXTS, HostileServer
from tests.client.scripted import ScriptedConnection, ScriptedServer, said
from tests.terminal.client_fixture import RecordingOutput, TypedInput, running_client
from trio_chat.client import connect
from trio_chat.errors import ChatError
from trio_chat.terminal import show
from trio_chat.terminal.command_runner import CommandRunner
from trio_chat.terminal.commands import split_text
from trio_chat.terminal.input_kind import InputKind
from trio_chat.terminal.line_client import LineClient
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


async def run_client(seed: int) -> None:
    """Run a client with a hostile server; raise only unexpected errors."""
    stage, input, output, random = ScriptedServer(), TypedInput(), RecordingOutput(), Random(seed)
    client = LineClient(
        input,
        output,
        None,
        as_json=random.random() < 0.3,
        input_kind=InputKind.LINES,
        has_commands=True,
        connect=partial(connect, dial=stage.dial, random=random.random, clock_s=trio.current_time),
    )
    for _ in range(20):
        input.typed.send_nowait(random.choice(TYPED))
    input.typed.close()
    async with trio.open_nursery() as servers:
        servers.start_soon(HostileServer(seed).serve, stage)
        try:
            with trio.move_on_after(10_000):
                await client.run(Target("ada"), ["lobby"])
        except ChatError as error:
            assert str(error).isprintable()
        servers.cancel_scope.cancel()
    shown = "\n".join(output.lines) + output.messages
    assert all(char == "\n" or char.isprintable() or char in "\u200c\u200d" for char in shown)


@pytest.mark.seeds(100)
def test_a_line_client_survives_a_hostile_server(seed: int) -> None:
    trio.run(run_client, seed, clock=MockClock(autojump_threshold=0))


# --- output -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 2**31, 10**15, 253_402_300_800_000, MAX_NUMBER, 10**30, 10**400])
def test_entries_with_times_beyond_the_calendar_are_shown(at: int) -> None:
    entry = Said("lobby", 1, at, "bob", "hi")
    for line in (
        *show.event_lines(entry, room="lobby"),
        *show.event_lines(Whispered("bob", "ada", "hi", at)),
        *show.event_lines(TopicChanged("lobby", 1, at, "bob", "hi"), room="lobby"),
        *show.history_lines(HistoryPage("lobby", [entry], more=False))[:1],
        *show.search_lines(Found([entry], more=False))[:1],
    ):
        assert line.endswith("hi")


@pytest.mark.parametrize(
    ("after", "next", "words"), [(5, 3, "no lines"), (0, 0, "no lines"), (0, 2, "1 line")]
)
def test_a_negative_gap_is_shown_as_no_lines(after: int, next: int, words: str) -> None:
    assert show.event_lines(Gap("lobby", after, next, kept=True), room="lobby") == [
        f"-- {words} not shown here"
    ]


@pytest.mark.parametrize("text", [text for text in TEXTS if text != "\ud800"])
def test_any_text_in_any_field_gives_printable_lines(text: str) -> None:
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
    assert show.retention(text).isprintable()


# --- input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bytes_max", [1, 2, 3])
def test_a_limit_below_a_character_splits_into_characters(bytes_max: int) -> None:
    assert list(split_text("€\N{GRINNING FACE}é", bytes_max)) == ["€", "\N{GRINNING FACE}", "é"]
    assert list(split_text("abc", bytes_max)) == [["a", "b", "c"], ["ab", "c"], ["abc"]][bytes_max - 1]
    assert list(split_text("", bytes_max)) == [""]


async def test_an_excessive_retry_time_becomes_a_minute_and_is_shown(
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

    async with running_client(nursery, play) as client:
        client.type("hello")
    assert client.output.messages.splitlines() == [
        f"-- rate_limited; the server asks to wait {MAX_NUMBER} s; retrying every 60 s",
        "-- forbidden; not done: hello",
    ]


def test_new_histories_of_other_rooms_are_not_tracked() -> None:
    """Only joined rooms are tracked, also if their spelling has changed."""
    runner = CommandRunner.__new__(CommandRunner)
    runner._rooms, runner._oldest_shown = ["lobby"], {"lobby": 7}
    for number in range(100):
        runner.note_shown([_anew(f"room {number}", head=50), said(3, f"room {number}")])
    assert runner._oldest_shown == {"lobby": 7}
    runner.note_shown([_anew("LOBBY", head=50)])
    assert runner._oldest_shown == {"lobby": 51}


def _anew(room: str, head: int) -> Room:
    return Room(room=room, epoch="e", resumed=False, first=1, head=head, members=1, topic="")


@pytest.mark.parametrize("answer", [Error("forbidden", "stay"), Named("ada"), Pong()])
async def test_a_refused_quit_still_ends_the_client(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, answer: Error | Named | Pong
) -> None:
    async def play(peer: ScriptedConnection) -> None:
        await peer.admit()
        quitting = await peer.expect(Quit)
        await peer.say(replace(answer, ref=quitting.ref))
        await trio.sleep_forever()

    async with running_client(nursery, play) as client:
        pass
    assert client.error is None
    assert trio.current_time() < 1
    nursery.cancel_scope.cancel()
