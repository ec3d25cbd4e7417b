"""The effect and the reply of each command. Membership and queries have files of their own."""

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, serving
from tests.server.stores import HeldStore
from trio_chat.hub.rooms import LARGE
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Bye,
    Command,
    Error,
    Hello,
    History,
    Leave,
    Named,
    Ping,
    Pong,
    Presence,
    Quit,
    Rename,
    Renaming,
    Said,
    Say,
    Topic,
    TopicChanged,
    Typing,
    TypingNotice,
    Welcome,
    Whisper,
    Whispered,
    Who,
)

TOKEN = "a-token-of-her-own-0001"


async def refused(peer: RawClient, command: Command, code: str, **fields: object) -> None:
    peer.send(command)
    await peer.expect(Error, code=code, **fields)


# --- hello ----------------------------------------------------------------------------------------------


async def test_welcome_has_all_its_fields(autojump_clock: MockClock) -> None:
    async with serving(talk_burst=7, ping_s=3) as harness:
        ada = harness.dial()
        ada.send(Hello(version=1, name="Ada", agent="a test", ref="h"))
        welcome = await ada.expect(Welcome, version=1, name="Ada", kept="memory", ping_s=3, ref="h")
        assert welcome.server.startswith("trio-chat ")
        assert b"server_id" not in encode(welcome), "a journal in memory names no server"
        assert 22 <= len(welcome.token) <= 64
        assert (welcome.limits.talk_burst, welcome.limits.frame_bytes) == (7, 65_536)


async def test_each_hello_gets_a_new_token_and_session(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        welcomes = [await harness.dial().hello(name) for name in ("ada", "bob", "eve")]
        assert len({welcome.token for welcome in welcomes}) == 3
        assert len({welcome.session for welcome in welcomes}) == 3


async def test_a_name_belongs_to_its_token_while_it_is_in_use(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("Ada", token=TOKEN)
        eve = harness.dial()
        for name in ("Ada", "ada", "ａｄａ"):
            await refused(eve, Hello(version=1, name=name), "name_taken", field="name")
        ada.send(Quit())
        await ada.ended()
        await eve.hello("ada")


async def test_a_known_token_keeps_its_present_name(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        await harness.enter("ada", token=TOKEN)
        assert (await harness.dial().hello("lovelace", TOKEN)).name == "ada"


@pytest.mark.parametrize("token", ["short", "x" * 65, "no spaces are allowed here", "x" * 21 + "é"])
async def test_an_invalid_token_is_refused(token: str, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        eve = harness.dial()
        await refused(eve, Hello(version=1, name="eve", token=token, ref="h"), "bad_message", field="token")
        await eve.hello("eve")


async def test_a_ninth_session_ends_the_oldest(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        sessions = [await harness.enter("ada", "lobby", token=TOKEN) for _ in range(8)]
        assert await zoe.presence_changes() == ["+ada"]
        ninth = await harness.enter("ada", "lobby", token=TOKEN)
        await sessions[0].ended_with("replaced")
        assert await zoe.presence_changes() == []
        for peer in (*sessions[1:], ninth):
            peer.send(Ping(n=1))
            await peer.answer(Pong, n=1)


# --- say and topic --------------------------------------------------------------------------------------


async def test_an_entry_has_its_author_time_and_number(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "waves", action=True))
        first = await ada.expect(Said, room="lobby", seq=1, by="ada", text="waves", action=True)
        await trio.sleep(2)
        ada.send(Say("LOBBY", "hi"))
        second = await ada.expect(Said, room="lobby", seq=2, text="hi", action=False)
        assert second.at - first.at == 2_000


async def test_without_a_ref_there_is_no_ack(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "hi"), Topic("lobby", "tea"), Leave("lobby"))
        assert not [event for event in await ada.receive_for() if isinstance(event, Ack)]


async def test_an_entry_is_published_only_after_the_commit(autojump_clock: MockClock) -> None:
    store = HeldStore()
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        bob = await harness.enter("bob", "lobby")
        ada.send(Say("lobby", "hi", ref="s"), Topic("lobby", "tea", ref="t"))
        for peer in (ada, bob):
            assert all(isinstance(event, Presence) for event in await peer.receive_for(20))
        late = await harness.enter("eve")
        assert (await late.join("lobby")).topic == ""
        store.holds_commits = False
        store.release()
        for peer in (bob, late):
            await peer.expect(Said, seq=1)
            await peer.expect(TopicChanged, seq=2)
        await ada.answer(Ack, ref="s", seq=1)
        await ada.answer(Ack, ref="t", seq=2)


async def test_a_topic_is_an_entry_and_the_room_s_topic(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Topic("lobby", "tea", ref="t"))
        await ada.expect(Ack, ref="t", seq=1, room="lobby")
        await ada.expect(TopicChanged, seq=1, by="ada", text="tea")
        bob = await harness.enter("bob")
        assert (await bob.join("lobby")).topic == "tea"


async def test_the_same_ref_is_one_entry(autojump_clock: MockClock) -> None:
    """While the first is pending, and after it."""
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby", "attic")
        ada.send(Say("lobby", "once", ref="s"), Say("lobby", "once", ref="s"))
        for _ in range(2):
            await ada.answer(Ack, ref="s", seq=1)
        ada.send(Say("lobby", "once", ref="s"))
        await ada.answer(Ack, ref="s", seq=1)
        ada.send(Say("attic", "elsewhere it is another", ref="s"))
        await ada.answer(Ack, ref="s", seq=1, room="attic")
        bob = await harness.enter("bob", "lobby")
        bob.send(Say("lobby", "and another's is another's", ref="s"))
        await bob.answer(Ack, ref="s", seq=2)
        await ada.receive_for()
        assert ada.seqs() == [1, 2]


@pytest.mark.parametrize(
    "again",
    [
        Say("lobby", "twice", ref="s"),
        Say("lobby", "once", action=True, ref="s"),
        Topic("lobby", "once", ref="s"),
    ],
)
async def test_a_ref_with_another_text_is_refused(again: Command, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "once", ref="s"), again)
        await ada.answer(Error, code="ref_reuse", ref="s")
        await ada.answer(Ack, ref="s", seq=1)
        ada.send(again)
        await ada.answer(Error, code="ref_reuse", ref="s")
        await ada.receive_for()
        assert ada.seqs() == [1]


# --- whisper --------------------------------------------------------------------------------------------


async def test_a_whisper_reaches_only_the_sessions_of_both_members(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        adas = [await harness.enter("ada", "lobby", token=TOKEN) for _ in range(2)]
        bobs = [await harness.enter("Bob", "lobby", token=TOKEN[::-1]) for _ in range(2)]
        await zoe.presence_changes()
        adas[0].send(Whisper("bob", "psst", ref="w"))
        await adas[0].answer(Ack, ref="w", room="", seq=UNSET)
        for peer in (*adas, *bobs):
            await peer.answer(Whispered, by="ada", to="Bob", text="psst")
            assert not [event for event in await peer.receive_for() if isinstance(event, Whispered)]
        assert await zoe.presence_changes() == []


async def test_a_whisper_to_oneself_reaches_each_session_once(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        adas = [await harness.enter("ada", token=TOKEN) for _ in range(2)]
        adas[0].send(Whisper("ada", "note to self"))
        for peer in adas:
            assert [event.text for event in await peer.receive_for() if isinstance(event, Whispered)] == [
                "note to self"
            ]


async def test_a_whisper_to_a_member_that_does_not_read_is_refused(autojump_clock: MockClock) -> None:
    async with serving(rate_limit=False, answers_bytes=5_000) as harness:
        ada = await harness.enter("ada")
        bob = await harness.enter("bob", buffer_bytes=1_000)
        for n in range(20):
            ada.send(Whisper("bob", "x" * 1_000, ref=f"w{n}"))
        await ada.answer(Error, code="unavailable", ref="w19")
        handed = {event.ref for event in ada.seen if isinstance(event, Ack)}
        heard = [event for event in await bob.receive_for() if isinstance(event, Whispered)]
        assert 0 < len(handed) == len(heard) < 20, "exactly the acked whispers were received"


# --- rename, typing, ping, quit, search -----------------------------------------------------------------


async def test_a_new_name_is_sent_to_all_sessions_and_members(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        adas = [await harness.enter("ada", "lobby", token=TOKEN) for _ in range(2)]
        assert await zoe.presence_changes() == ["+ada"]
        adas[0].send(Rename("Lovelace", ref="r"), Say("lobby", "it is me"))
        await adas[0].answer(Named, name="Lovelace", ref="r")
        await adas[1].answer(Named, name="Lovelace", ref="")
        await adas[1].expect(Said)
        await adas[1].answer(Presence, renamed=[Renaming("ada", "Lovelace")], joined=[], left=[])
        await adas[1].expect(Said, by="Lovelace")
        assert await zoe.presence_changes() == ["ada is Lovelace"]
        assert (await harness.dial().hello("ada")).name == "ada", "the old name is free"


async def test_the_case_of_one_s_own_name_may_change(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Rename("ADA", ref="r"))
        await ada.answer(Named, name="ADA", ref="r")


async def test_a_taken_or_invalid_name_changes_nothing(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        ada = await harness.enter("ada", "lobby")
        assert await zoe.presence_changes() == ["+ada"]
        ada.send(Rename("Zoe", ref="r1"))
        await ada.answer(Error, code="name_taken", ref="r1")
        ada.send(Rename("", ref="r2"))
        await ada.answer(Error, code="bad_name", ref="r2")
        assert await zoe.presence_changes() == []
        assert await ada.say("still ada") == 3
        await ada.answer(Said, by="ada")


async def test_typing_is_sent_to_the_others_once_a_second(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        adas = [await harness.enter("ada", "lobby", token=TOKEN) for _ in range(2)]
        bob = await harness.enter("bob", "lobby")
        for _ in range(4):
            adas[0].send(Typing("Lobby"), Typing("Lobby"))
            await trio.sleep(0.5)
        typings = [event for event in await bob.receive_for() if isinstance(event, TypingNotice)]
        assert typings == [TypingNotice("lobby", "ada")] * 2
        for ada in adas:
            assert not [event for event in await ada.receive_for() if isinstance(event, TypingNotice)]


async def test_typing_in_other_rooms_costs_one_lookup_a_second(autojump_clock: MockClock) -> None:
    """Preparing a name is the most expensive step of a command, and typing is not charged to any rate."""
    async with serving() as harness:
        ada = await harness.enter("ada")
        ada.send(*(Typing(f"attic{number}", ref=f"t{number}") for number in range(100)))
        await trio.sleep(1)
        ada.send(Typing("attic", ref="t"))
        errors = await ada.receive_for()
        assert [event.ref for event in errors if isinstance(event, Error)] == ["t0", "t"]


async def test_typing_in_a_large_room_is_not_sent(autojump_clock: MockClock) -> None:
    """Each notice would be a send to each member, which no rate would limit."""
    async with serving() as harness:
        ada, bob = await harness.enter("ada", "lobby"), await harness.enter("bob", "lobby")
        crowd = [await harness.enter(f"m{number}", "lobby") for number in range(LARGE - 1)]
        ada.send(Typing("lobby"))
        await trio.sleep(2)
        assert not [event for event in await bob.receive_for() if isinstance(event, TypingNotice)]
        crowd[0].send(Leave("lobby"))
        await trio.sleep(2)
        ada.send(Typing("lobby"))
        assert [event for event in await bob.receive_for() if isinstance(event, TypingNotice)]


async def test_a_ping_is_answered_with_its_number(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada")
        ada.send(Ping(), Ping(n=0), Ping(n=2**53 - 1, ref="p"))
        assert await ada.receive_for() == [Pong(), Pong(0), Pong(2**53 - 1, "p")]


async def test_quit_ends_the_session(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        ada = await harness.enter("ada", "lobby")
        assert await zoe.presence_changes() == ["+ada"]
        ada.send(Quit("tea", ref="q"), Say("lobby", "too late"))
        assert await ada.ended() == Bye("quit", "goodbye", reconnect=False, ref="q")
        assert await zoe.presence_changes() == ["-ada quit"]


# --- refusals of all commands ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        Say("attic", "hi", ref="x"),
        Topic("attic", "hi", ref="x"),
        Leave("attic", ref="x"),
        Who("attic", ref="x"),
        History("attic", ref="x"),
        Typing("attic", ref="x"),
        Say("no such name", "hi", ref="x"),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_commands_for_another_room_are_refused(command: Command, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        await harness.enter("bob", "attic")
        ada = await harness.enter("ada", "lobby")
        await ada.receive_for()
        await refused(ada, command, "not_in_room", field="room", ref="x")


@pytest.mark.parametrize("name", ["unknown", "", "not a name"])
async def test_a_whisper_to_an_unknown_name_is_refused(name: str, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        await refused(
            await harness.enter("ada"), Whisper(name, "hi", ref="w"), "no_such_name", field="to", ref="w"
        )


@pytest.mark.parametrize("text", ["", "a\0b", "\x1b[31m", "\x9b31m", "a\rb", "\x7f"])
@pytest.mark.parametrize("make", [Say, Topic, Whisper])
async def test_an_invalid_text_is_refused(
    make: type[Say | Topic | Whisper], text: str, autojump_clock: MockClock
) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "ada")
        await ada.receive_for()
        command = make("ada", text, ref="x")
        await refused(ada, command, "bad_message", field="text", ref="x")
