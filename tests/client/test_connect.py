"""`connect`: how its block begins and ends."""

import struct
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom, ScriptedServer, chatting, said, welcome
from trio_chat.client import connect
from trio_chat.errors import CannotConnect, ConnectionLost, ProtocolError, Refused
from trio_chat.net.link import Link
from trio_chat.wire.messages import Bye, Error, Hello, Ping, Pong, Quit, Rooms

Play = Callable[[ScriptedConnection], Awaitable[object]]


async def meet(nursery: trio.Nursery, play: Play) -> None:
    """Connect to a server that follows this script, which must fail."""
    scripted_server = ScriptedServer()

    async def server() -> None:
        await play(await scripted_server.accept())

    nursery.start_soon(server)
    try:
        async with connect("there", 1, name="ada", dial=scripted_server.dial):
            pytest.fail("connect must fail")
    finally:
        (link,) = scripted_server.client_links
        assert link.is_closed


# --- connecting ---------------------------------------------------------------------------------------


async def test_a_chat_has_the_name_and_token_of_the_welcome(nursery: trio.Nursery) -> None:
    scripted_server = ScriptedServer()
    hellos: list[Hello] = []

    async def server() -> None:
        peer = await scripted_server.accept()
        hellos.append(await peer.greet())
        await peer.part()

    nursery.start_soon(server)
    async with connect(
        "there", 7, name="ada", token="t" * 22, agent="a bot", dial=scripted_server.dial
    ) as chat:
        assert chat.name == "ada"
        assert chat.token == "t" * 22
        assert chat.welcome.kept == "memory"
    assert scripted_server.dialled == [("there", 7)]
    assert hellos == [Hello(version=1, name="ada", token="t" * 22, agent="a bot", ref=hellos[0].ref)]


async def test_two_chats_never_share_refs(nursery: trio.Nursery) -> None:
    scripted_server = ScriptedServer()
    hellos: list[Hello] = []

    async def server() -> None:
        for _ in range(2):
            peer = await scripted_server.accept()
            hellos.append(await peer.greet())
            await peer.part()

    nursery.start_soon(server)
    for _ in range(2):
        async with connect(name="ada", dial=scripted_server.dial):
            pass
    first, second = (hello.ref.partition(".")[0] for hello in hellos)
    assert first != second
    assert len(first) >= 8


async def test_a_refused_connection_raises_cannot_connect() -> None:
    async def refuses(host: str, port: int) -> Link:
        await trio.lowlevel.checkpoint()
        raise CannotConnect("cannot connect to there:1: Connection refused")

    with pytest.raises(CannotConnect, match="cannot connect to there:1"):
        async with connect("there", 1, name="ada", dial=refuses):
            pytest.fail("connect must fail")


async def test_dialing_times_out_after_ten_seconds(autojump_clock: trio.abc.Clock) -> None:
    async def nowhere(host: str, port: int) -> Link:
        await trio.sleep_forever()
        raise AssertionError("sleep_forever returned")

    with pytest.raises(CannotConnect, match="no answer from there:1 within 10 s"):
        async with connect("there", 1, name="ada", dial=nowhere):
            pytest.fail("connect must fail")
    assert trio.current_time() == pytest.approx(10)


async def test_a_silent_handshake_times_out_after_ten_seconds(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    with pytest.raises(CannotConnect, match="no answer from there:1"):
        await meet(nursery, ScriptedConnection.command)
    assert trio.current_time() == pytest.approx(10)


async def test_a_bye_instead_of_a_welcome_raises_cannot_connect_with_its_code(nursery: trio.Nursery) -> None:
    async def play(peer: ScriptedConnection) -> None:
        await peer.expect(Hello)
        await peer.say(Bye("too_many_connections", "the house is full", reconnect=True))

    with pytest.raises(CannotConnect, match=r"ended the connection: the house is full") as caught:
        await meet(nursery, play)
    assert caught.value.code == "too_many_connections"


async def test_a_server_that_closes_the_connection_raises_cannot_connect(nursery: trio.Nursery) -> None:
    async def play(peer: ScriptedConnection) -> None:
        await peer.expect(Hello)
        peer.link.close()

    with pytest.raises(CannotConnect, match="closed it without a word"):
        await meet(nursery, play)


@pytest.mark.parametrize("code", ["bad_name", "name_taken"])
async def test_an_unacceptable_name_raises_refused(nursery: trio.Nursery, code: str) -> None:
    async def play(peer: ScriptedConnection) -> None:
        hello = await peer.expect(Hello)
        await peer.say(Error(code, "not that one", ref=hello.ref))

    with pytest.raises(Refused, match="not that one") as caught:
        await meet(nursery, play)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 0),
        struct.pack(">I", 4) + b"\xff\xfe\xfd\xfc",
        struct.pack(">I", 30_000) + b"[" * 30_000,
        struct.pack(">I", 19) + b'{"type": "welcome"}',
    ],
    ids=["huge frame", "empty frame", "not UTF-8", "deep", "half a message"],
)
async def test_a_foreign_server_is_a_protocol_error_of_one_line(nursery: trio.Nursery, data: bytes) -> None:
    async def play(peer: ScriptedConnection) -> None:
        await peer.send_bytes(data)
        await trio.sleep_forever()

    with pytest.raises(ProtocolError, match="invalid data from the server: ") as caught:
        await meet(nursery, play)
    assert str(caught.value).isprintable()


async def test_another_answer_than_a_welcome_is_a_protocol_error(nursery: trio.Nursery) -> None:
    async def play(peer: ScriptedConnection) -> None:
        hello = await peer.expect(Hello)
        await peer.say(Pong(ref=hello.ref))

    with pytest.raises(ProtocolError, match="unexpected answer: pong"):
        await meet(nursery, play)


# --- leaving ----------------------------------------------------------------------------------------


async def test_leaving_the_block_sends_quit_and_waits_for_the_bye(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.expect(Quit)
        await trio.sleep(2)
        await peer.say(Bye("quit", "goodbye", reconnect=False))

    async with chatting(nursery, hangs_up=False) as (_, peer):
        nursery.start_soon(server, peer)
    assert trio.current_time() == pytest.approx(2)


async def test_waiting_for_the_bye_times_out_after_five_seconds(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, hangs_up=False) as (_, peer):
        pass
    assert trio.current_time() == pytest.approx(5)
    assert isinstance(await peer.command(), Quit)
    assert await peer.command() is None


async def test_a_program_that_cancelled_quit_does_not_wait_for_the_bye_again(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, hangs_up=False) as (chat, _):
        with trio.move_on_after(1):
            await chat.quit()
    assert trio.current_time() == pytest.approx(1)


async def test_a_connection_that_breaks_during_quit_raises_nothing(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.expect(Quit)
        peer.reset()

    async with chatting(nursery, hangs_up=False) as (_, peer):
        nursery.start_soon(server, peer)


async def test_leaving_after_the_connection_broke_is_quiet(nursery: trio.Nursery) -> None:
    async with chatting(nursery, hangs_up=False) as (_, peer):
        peer.reset()
        await wait_all_tasks_blocked()


async def test_an_exception_of_the_block_is_raised_unchanged_and_closes_at_once(
    nursery: trio.Nursery,
) -> None:
    cause, context = OSError("the cause"), KeyError("the context")
    error = ValueError("mine")
    peers: list[ScriptedConnection] = []
    with pytest.raises(ValueError, match="mine") as caught:
        async with chatting(nursery) as (_, peer):
            peers.append(peer)
            try:
                raise context
            except KeyError:
                raise error from cause
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, context)
    assert await peers[0].command() is None, "no quit was sent"


async def test_an_exception_group_of_the_block_is_raised_unchanged(nursery: trio.Nursery) -> None:
    with pytest.RaisesGroup(ValueError, KeyError) as caught:
        async with chatting(nursery):
            raise ExceptionGroup("mine", [ValueError(), KeyError()])
    assert caught.value.message == "mine"


async def test_cancelling_the_block_closes_at_once(nursery: trio.Nursery) -> None:
    peers: list[ScriptedConnection] = []
    with trio.CancelScope() as scope:
        async with chatting(nursery) as (_, peer):
            peers.append(peer)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert await peers[0].command() is None, "no quit was sent"


async def test_cancelling_from_outside_raises_one_cancelled(nursery: trio.Nursery) -> None:
    raised: list[BaseException] = []
    with trio.CancelScope() as scope:
        try:
            async with chatting(nursery):
                scope.cancel()
                await trio.sleep_forever()
        except BaseException as error:
            raised.append(error)
            raise
    assert [type(error) for error in raised] == [trio.Cancelled]


async def test_an_error_during_cancellation_is_raised_without_a_group(nursery: trio.Nursery) -> None:
    with trio.CancelScope() as scope, pytest.raises(KeyError):
        async with chatting(nursery):
            scope.cancel()
            raise KeyError


async def test_a_broken_connection_is_raised_where_the_program_waits(
    nursery: trio.Nursery,
) -> None:
    with pytest.raises(ConnectionLost, match="connection lost: the server closed it without a word"):
        async with chatting(nursery) as (chat, peer):
            peer.link.close()
            async for _ in chat:
                pytest.fail("no event was sent")


async def test_a_broken_connection_cancels_no_task_of_the_program(nursery: trio.Nursery) -> None:
    """A program that waits for something else continues, and gets the error when it iterates again."""
    async with chatting(nursery) as (chat, peer):
        await peer.say(said(1))
        peer.link.close()
        await wait_all_tasks_blocked()
        await trio.lowlevel.checkpoint()
        assert await anext(aiter(chat)) == said(1), "events that arrived before the end are delivered"
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await chat.say("lobby", "hello")
        with pytest.raises(ConnectionLost):
            await chat.typing("lobby")


async def test_each_waiting_task_gets_its_own_exception(nursery: trio.Nursery) -> None:
    caught: list[ConnectionLost] = []

    async def wait(what: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(ConnectionLost) as raised:
            await what()
        caught.append(raised.value)

    async with chatting(nursery) as (chat, peer), trio.open_nursery() as waiting:
        for what in (chat.ping, chat.rooms, chat.__anext__, chat.batches().__anext__):
            waiting.start_soon(wait, what)
        assert {type(await peer.command()) for _ in range(2)} == {Ping, Rooms}
        await peer.say(Bye("draining", "back soon", reconnect=True, after_s=3))
        peer.link.close()
    assert len({id(error) for error in caught}) == 4
    assert {(error.code, error.reconnect, error.after_s) for error in caught} == {("draining", True, 3)}


# --- cancelled at any step -----------------------------------------------------------------------------


class _StepCounter(trio.abc.Instrument):
    """Cancels a scope just before step number `at` of a task."""

    def __init__(self, at: int, scope: trio.CancelScope) -> None:
        self.at = at
        self.scope = scope
        self.steps = 0
        self._task = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.steps += 1
            if self.steps == self.at:
                self.scope.cancel()


async def test_cancelling_at_any_step_leaves_nothing_open(autojump_clock: trio.abc.Clock) -> None:
    async def story(scripted_server: ScriptedServer) -> None:
        async with connect(name="ada", dial=scripted_server.dial) as chat:
            await chat.join("lobby")
            await chat.say("lobby", "hello")
            await anext(aiter(chat))

    async def serve(scripted_server: ScriptedServer) -> None:
        peer = await scripted_server.accept()
        hello = await peer.command()
        if isinstance(hello, Hello):
            await peer.say(welcome(hello))
            await ScriptedRoom().serve(peer)

    step, finished = 0, False
    while not finished:
        step += 1
        scripted_server = ScriptedServer()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, scripted_server)
            with trio.CancelScope() as scope:
                counter = _StepCounter(step, scope)
                trio.lowlevel.add_instrument(counter)
                try:
                    await story(scripted_server)
                finally:
                    trio.lowlevel.remove_instrument(counter)
            finished = not scope.cancel_called
            nursery.cancel_scope.cancel()
        assert all(link.is_closed for link in scripted_server.client_links), f"cancelled at step {step}"
    assert step > 5, "there is at least one step for each wait"
