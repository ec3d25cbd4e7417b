"""`trio-chat join` as a process: in a pipe, at a real terminal, and with other kinds of servers."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.patience import PATIENCE_S
from trio_chat.client import Chat, connect
from trio_chat.net.link import Link
from trio_chat.net.listen import open_listeners
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import open_server
from trio_chat.wire.messages import Presence, Said

MAIN = "from trio_chat.cli import main; main(prog_name='trio-chat')"
# The process makes the terminal its controlling terminal, so that Ctrl-C reaches it as a signal.
OWN_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
JOIN = [sys.executable, "-c", MAIN, "join"]
JOIN_AT_TERMINAL = [sys.executable, "-c", f"{OWN_TERMINAL}; {MAIN}", "join"]


async def run(*args: str, typed: str = "") -> subprocess.CompletedProcess[bytes]:
    with trio.fail_after(PATIENCE_S):
        return await trio.run_process(
            [*JOIN, *args], stdin=typed.encode(), capture_stdout=True, capture_stderr=True, check=False
        )


@asynccontextmanager
async def running_server(port: int = 0, journal: str = "memory", **limits: int) -> AsyncGenerator[int]:
    """Run a real server, and yield its port."""
    with trio.fail_after(PATIENCE_S):
        async with open_server(Config(port=port, journal=journal, limits=Limits(**limits))) as server:
            yield int(server.addresses[0].rpartition(":")[2])


@asynccontextmanager
async def listening(nursery: trio.Nursery, play: Callable[[Link], Awaitable[object]]) -> AsyncGenerator[int]:
    """Handle one connection with `play`, and yield the port."""
    (listener,) = await open_listeners("127.0.0.1", 0)

    async def accept() -> None:
        (link,) = await listener.accept()
        try:
            await play(link)
        finally:
            link.close()

    nursery.start_soon(accept)
    yield listener.port
    listener.close()


# --- in a pipe --------------------------------------------------------------------------------------


async def test_piped_lines_are_sent_and_shown() -> None:
    async with running_server() as port, connect(port=port, name="bob") as bob:
        await bob.join("lobby")
        done = await run(f"ada@:{port}", "--commands", typed="one\n/me waves\n\nthree without an end")
        received = [event for event in await anext(bob.batches()) if isinstance(event, Said)]
        while len(received) < 3:
            received += [event for event in await anext(bob.batches()) if isinstance(event, Said)]
    assert (done.returncode, done.stderr) == (0, b"")
    assert [(entry.by, entry.text, entry.action) for entry in received] == [
        ("ada", "one", False),
        ("ada", "waves", True),
        ("ada", "three without an end", False),
    ]
    assert [line[6:] for line in done.stdout.decode().splitlines() if line[2:3] == ":"] == [
        "ada: one",
        "* ada waves",
        "ada: three without an end",
    ]


async def test_an_empty_pipe_sends_nothing() -> None:
    async with running_server() as port:
        done = await run(f"ada@:{port}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"-- lobby: 1 here\n"


async def test_many_lines_pass_a_rate_limit() -> None:
    pasted = "".join(f"brick {n}\n" for n in range(15))
    async with running_server(talk_burst=10, talk_per_s=50) as port:
        done = await run(f"ada@:{port}", typed=pasted)
    assert done.returncode == 0
    shown = [line.partition(": ")[2] for line in done.stdout.decode().splitlines()[1:]]
    assert [line for line in shown if line.startswith("brick")] == pasted.splitlines()


async def test_only_json_is_on_standard_output() -> None:
    async with running_server() as port:
        rooms = ["--room", "a", "--room", "#b"]
        done = await run(f"ada@:{port}", "--json", "--commands", *rooms, typed="hi\n/who\n/nonsense\n")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["room"] for event in events if event["type"] == "room"] == ["a", "b"]
    assert [event["room"] for event in events if event["type"] == "said"] == ["b"]
    assert done.stderr.startswith(b"-- unknown command: /nonsense")
    assert done.stderr.endswith(b"trio-chat: 1 line was not sent\n")
    assert done.returncode == 1


async def test_a_taken_name_in_a_pipe_is_an_error() -> None:
    async with running_server() as port, connect(port=port, name="ada"):
        done = await run(f"ada@:{port}", typed="hi\n")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(f"; choose another: trio-chat join NAME@127.0.0.1:{port}\n".encode())
    assert done.stderr.count(b"\n") == 1


async def test_a_closed_reader_ends_the_client_without_a_message() -> None:
    async with running_server() as port, connect(port=port, name="bob") as bob:
        await bob.join("lobby")
        process = await trio.lowlevel.open_process(
            [*JOIN, f"ada@:{port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdin and process.stdout and process.stderr
        assert await process.stdout.receive_some() == b"-- lobby: 2 here\n"
        await wait_for_join(bob, "ada")
        await process.stdout.aclose()
        await process.stdin.send_all(b"is anyone there?\n")
        assert await process.wait() == 2
        assert await process.stderr.receive_some() == b""
        assert await wait_for_departure(bob, "ada") == "quit"


async def wait_for_join(chat: Chat, name: str) -> None:
    """Wait until a member has received a join; a user who leaves before that is never announced."""
    async for event in chat:
        if isinstance(event, Presence) and name in event.joined:
            return


async def wait_for_departure(chat: Chat, name: str) -> str:
    """Wait until a member has received a departure, and return its reason."""
    async for event in chat:
        if isinstance(event, Presence):
            for departure in event.left:
                if departure.name == name:
                    return departure.why
    raise AssertionError("the chat has ended")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
async def test_a_full_disk_is_reported_in_one_line() -> None:
    async with running_server() as port:
        full = os.open("/dev/full", os.O_WRONLY)
        command = [*JOIN, f"ada@:{port}"]
        done = await trio.run_process(command, stdin=b"", stdout=full, capture_stderr=True, check=False)
        os.close(full)
    assert done.returncode == 2
    assert done.stderr == b"trio-chat: cannot write to standard output: No space left on device\n"


# --- other kinds of servers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02hi"],
    ids=["huge", "text"],
)
async def test_invalid_frames_are_one_line_and_exit_3(nursery: trio.Nursery, data: bytes) -> None:
    async def play(link: Link) -> None:
        link.send_nowait(data)
        while await link.receive_some():
            pass

    async with listening(nursery, play) as port:
        done = await run(f"ada@:{port}", typed="hi\n")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"trio-chat: invalid data from the server: ")
    assert done.stderr.count(b"\n") == 1


async def test_no_server_is_one_line_and_exit_3() -> None:
    async with running_server() as port:
        pass
    done = await run(f"ada@:{port}")
    assert done.returncode == 3
    assert done.stderr == f"trio-chat: cannot connect to 127.0.0.1:{port}: Connection refused\n".encode()


async def test_a_replaced_session_is_one_line_and_exit_3(tmp_path: Path) -> None:
    """As a ninth terminal of a user replaces the first."""
    command = [*JOIN, "--tokens", str(tmp_path / "tokens.json")]
    async with running_server(sessions=1) as port:
        process = await trio.lowlevel.open_process(
            [*command, f"ada@:{port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdin and process.stdout and process.stderr
        assert await process.stdout.receive_some()
        await run(f"ada@:{port}", *command[-2:])
        assert await process.wait() == 3
        output = await process.stderr.receive_some()
    assert output.startswith(b"trio-chat: the server ended the connection: ")
    assert output.count(b"\n") == 1


@pytest.mark.parametrize("target", ["::1", "ada@host:port"])
async def test_an_invalid_target_is_exit_2(target: str) -> None:
    done = await run(target)
    assert done.returncode == 2
    assert b"expected NAME@HOST:PORT" in done.stderr


async def test_websocket_and_tcp_give_the_same_room_and_identity(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    async with running_server() as port:
        first = await run(f"ada@ws://127.0.0.1:{port}", "--tokens", str(tokens), typed="hello\n")
        options = ["--commands", "--tokens", str(tokens)]
        other = await run(f"tcp://ada@127.0.0.1:{port}", *options, typed="/history\nagain\n")
    assert (first.returncode, first.stderr, other.returncode, other.stderr) == (0, b"", 0, b"")
    received = [line.partition("ada: ")[2] for line in other.stdout.decode().splitlines() if "ada: " in line]
    assert received == ["hello", "again"]
    assert len(json.loads(tokens.read_text())["tokens"]) == 1


# --- at a terminal ----------------------------------------------------------------------------------


class Terminal:
    """A real terminal with a client."""

    def __init__(self, process: trio.Process, master: int, slave: int) -> None:
        self.process = process
        self.shown = ""
        self._master = master
        self._slave = slave
        self.settings = termios.tcgetattr(slave)

    async def type(self, text: str) -> None:
        data = text.encode()
        while data:
            await trio.lowlevel.wait_writable(self._master)
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:  # the buffer of the terminal is full until the client reads
                await trio.sleep(0.01)

    async def read_until(self, text: str) -> None:
        while text not in self.shown:
            await trio.lowlevel.wait_readable(self._master)
            self.shown += os.read(self._master, 65_536).decode().replace("\r\n", "\n")

    @property
    def open(self) -> bool:
        return self._master != -1

    def hang_up(self) -> None:
        trio.lowlevel.notify_closing(self._master)
        os.close(self._master)
        self._master = -1

    async def wait_ended(self) -> int:
        """Wait until the client has ended, and check that the terminal is restored."""
        status = await self.process.wait()
        assert termios.tcgetattr(self._slave) == self.settings
        return status


@asynccontextmanager
async def running_terminal(*args: str) -> AsyncGenerator[Terminal]:
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    process = await trio.lowlevel.open_process(
        [*JOIN_AT_TERMINAL, *args], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    terminal = Terminal(process, master, slave)
    try:
        yield terminal
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()
        os.close(slave)
        if terminal.open:
            terminal.hang_up()


async def test_a_conversation_at_a_terminal() -> None:
    async with running_server() as port, connect(port=port, name="bob") as bob:
        await bob.join("lobby")
        async with running_terminal(f"ada@:{port}") as terminal:
            await terminal.read_until("-- lobby: 2 here\n")
            assert f"-- connected to 127.0.0.1:{port} as ada; messages are kept in memory" in terminal.shown
            await terminal.type("is anyone here?\n")
            await terminal.read_until("ada: is anyone here?\n")
            await bob.say("lobby", "just me")
            await terminal.read_until("bob: just me\n")
            await terminal.type("\x04")
            assert await terminal.wait_ended() == 0


async def test_another_name_is_asked_for_at_a_terminal() -> None:
    async with (
        running_server() as port,
        connect(port=port, name="ada"),
        running_terminal(f"ada@:{port}") as terminal,
    ):
        await terminal.read_until("another name: ")
        await terminal.type("bea\n")
        await terminal.read_until("as bea")
        await terminal.read_until("-- lobby: 1 here\n")
        await terminal.type("/quit\n")
        assert await terminal.wait_ended() == 0


async def test_many_pasted_lines_are_sent_in_order() -> None:
    pasted = [f"brick {n}" for n in range(400)]
    async with running_server(talk_per_s=10_000) as port, connect(port=port, name="bob") as bob:
        await bob.join("lobby")
        received: list[str] = []
        async with running_terminal(f"ada@:{port}") as terminal, trio.open_nursery() as nursery:
            nursery.start_soon(terminal.read_until, "brick 399\n")
            nursery.start_soon(terminal.type, "".join(f"{line}\n" for line in pasted))
            while len(received) < len(pasted):
                received += [event.text for event in await anext(bob.batches()) if isinstance(event, Said)]
            await terminal.type("\x04")
            assert await terminal.wait_ended() == 0
    assert received == pasted


async def test_a_terminal_reconnects_to_a_restarted_server(tmp_path: Path) -> None:
    journal = str(tmp_path / "journal.db")
    async with AsyncExitStack() as stack:
        async with running_server(journal=journal) as port:
            terminal = await stack.enter_async_context(running_terminal(f"ada@:{port}"))
            await terminal.read_until("-- lobby: 1 here\n")
            await terminal.type("one\n")
            await terminal.read_until("ada: one\n")
        with trio.fail_after(PATIENCE_S):
            await terminal.read_until("; reconnecting\n")
        await terminal.type("two\n")
        async with running_server(port, journal):
            await terminal.read_until("-- reconnected after ")
            await terminal.read_until("ada: two\n")
            await terminal.type("/quit\n")
            assert await terminal.wait_ended() == 0
    assert terminal.shown.count("ada: ") == 2


@pytest.mark.parametrize("typed", ["", "half a line that was not fin"])
async def test_ctrl_c_quits_and_restores_the_terminal(typed: str) -> None:
    async with running_server() as port, connect(port=port, name="bob") as bob:
        await bob.join("lobby")
        async with running_terminal(f"ada@:{port}") as terminal:
            await terminal.read_until("here\n")
            await wait_for_join(bob, "ada")
            await terminal.type(f"{typed}\x03")
            with trio.fail_after(PATIENCE_S):
                assert await terminal.wait_ended() == 0
            assert await wait_for_departure(bob, "ada") == "quit"


async def test_ctrl_c_ends_soon_if_the_server_does_not_reply(nursery: trio.Nursery) -> None:
    arrived = trio.Event()

    async def play(link: Link) -> None:
        await link.receive_some()
        arrived.set()
        await trio.sleep_forever()

    async with listening(nursery, play) as port, running_terminal(f"ada@:{port}") as terminal:
        await arrived.wait()
        await terminal.type("\x03")
        with trio.fail_after(PATIENCE_S):
            assert await terminal.wait_ended() == 0
        assert "Traceback" not in terminal.shown
    nursery.cancel_scope.cancel()


async def test_a_closed_terminal_ends_its_client() -> None:
    async with running_server() as port, connect(port=port, name="bob") as bob:
        await bob.join("lobby")
        async with running_terminal(f"ada@:{port}") as terminal:
            await terminal.read_until("here\n")
            await wait_for_join(bob, "ada")
            terminal.hang_up()
            assert await terminal.process.wait() == 0
            assert await wait_for_departure(bob, "ada") == "quit"


async def test_two_terminals_are_one_user_even_if_one_hangs(tmp_path: Path) -> None:
    """So a restarted client connects at once, even while its dead connection still exists."""
    tokens = ["--tokens", str(tmp_path / "tokens.json")]
    async with running_server() as port, connect(port=port, name="bob") as bob:
        await bob.join("lobby")
        async with running_terminal(f"ada@:{port}", *tokens) as first:
            await first.read_until("-- lobby: 2 here\n")
            first.process.send_signal(signal.SIGSTOP)
            async with running_terminal(f"ada@:{port}", *tokens) as second:
                await second.read_until("as ada;")
                await second.read_until("-- lobby: 2 here\n")
                await second.type("it is me\n/quit\n")
                assert await second.wait_ended() == 0
        came: list[str] = []
        async for event in bob:
            if isinstance(event, Presence):
                came += event.joined
            elif isinstance(event, Said):
                break
    assert [name for name in came if name != "bob"] == ["ada"]
