"""`trio-chat loadtest` as a process on real sockets: its exit statuses, and that it leaves nothing behind."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from loadtest.command import allow_files, look_at
from loadtest.scenario import CannotRun
from loadtest.server import own_server
from tests.loadtest.liar import LIES, Liar, proxying
from trio_chat.server.config import Config
from trio_chat.server.serve import open_server

MAIN = "from trio_chat.cli import main; main(prog_name='trio-chat')"
LOADTEST = [sys.executable, "-c", MAIN, "loadtest"]
PATIENCE_S = 40
SHORT = ["--users=8", "--rate=40", "--duration=1.5", "--disconnects=25%"]


async def run(*args: str) -> subprocess.CompletedProcess[bytes]:
    with trio.fail_after(PATIENCE_S):
        return await trio.run_process(
            [*LOADTEST, *args], capture_stdout=True, capture_stderr=True, check=False
        )


@asynccontextmanager
async def serving(*, rate_limit: bool = False) -> AsyncGenerator[int]:
    async with open_server(Config(port=0, rate_limit=rate_limit)) as server:
        yield int(server.addresses[0].rpartition(":")[2])


def last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stdout.decode().splitlines()[-1]


def is_listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def test_with_a_server_of_its_own_it_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = await run(*SHORT, f"--json={path}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.match(r"FINE: 480 deliveries verified, .* \(exit 0\)", last_line(done))
    report = json.loads(path.read_text())
    assert report["server"] == "a server of its own"
    assert report["figures"]["deliveries"] == 480
    assert sum(report["figures"]["trips"].values()) == 2


async def test_a_server_is_spoken_to_by_websocket() -> None:
    async with serving() as port:
        done = await run("--target", f"ws://127.0.0.1:{port}", *SHORT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert last_line(done).startswith("FINE: 480 deliveries verified")


async def test_a_report_on_standard_output_is_alone_there() -> None:
    done = await run(*SHORT, "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "fine"
    assert done.stderr.decode().splitlines()[-1].startswith("FINE: 480 deliveries verified")


async def test_a_report_that_standard_output_does_not_take_is_2_and_a_line() -> None:
    with Path("/dev/full").open("wb") as full, trio.fail_after(PATIENCE_S):  # noqa: ASYNC230 - a device
        command = [*LOADTEST, *SHORT, "--json", "-"]
        done = await trio.run_process(command, stdout=full, capture_stderr=True, check=False)
    says = b"trio-chat: cannot write to standard output: No space left on device"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, says)


async def test_the_rooms_that_stay_are_those_in_the_journal(tmp_path: Path) -> None:
    """The printed command removes all of them."""
    path = tmp_path / "journal.db"
    async with open_server(Config(port=0, rate_limit=False, journal=str(path))) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        done = await run(f"127.0.0.1:{port}", *SHORT, "--rooms=3", "--json=-")
    report = json.loads(done.stdout)
    assert len(report["rooms"]) == 3
    assert f"  {report['prune_command']}\n" in done.stderr.decode()
    with trio.fail_after(PATIENCE_S):
        command = [sys.executable, "-c", MAIN, *report["prune_command"].split()[1:], "--journal", str(path)]
        done = await trio.run_process(command, capture_stdout=True, check=False)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == b"3 rooms and 60 entries removed"
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM rooms").fetchone() == (0,)


async def test_an_interrupted_run_tells_of_its_rooms_too(nursery: trio.Nursery) -> None:
    async with serving() as port:
        command = [*LOADTEST, f"127.0.0.1:{port}", "--users=4", "--duration=60", "--json=-"]
        client = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert client.stdout is not None and client.stderr is not None
        said = bytearray()
        with trio.fail_after(PATIENCE_S):
            while not re.search(rb"talking +[0-9]+%: 4 users, +[1-9]", said):
                data = await client.stderr.receive_some()
                assert data, bytes(said)
                said += data
            client.send_signal(signal.SIGINT)
            async for data in client.stderr:
                said += data
            assert await client.stdout.receive_some() == b""
            assert await client.wait() == 2
    *_, command_line, reason = said.decode().splitlines()
    assert re.fullmatch(r"  trio-chat journal prune --room room0-\w{4}", command_line)
    assert reason == "trio-chat: interrupted, and nothing is proved"


async def test_a_missed_threshold_is_1() -> None:
    async with serving() as port:
        done = await run(f"127.0.0.1:{port}", *SHORT, "--fail-if", "sent > 1", "--fail-if", "p99 > 60s")
    assert done.returncode == 1
    assert last_line(done).startswith("THRESHOLD MISSED: sent > 1: 60;")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["127.0.0.1:1"], r"trio-chat: u\d+-\w+ could not come in: no server at 127.0.0.1:1: Connection ref"),
        (["--fail-if", "p99"], "is no threshold: it looks like 'p99 > 50ms'"),
        (["--disconnects", "ten"], "is no share"),
        (["a:b"], "is no address"),
        (["--target", "ws://"], "is no address"),
        (["127.0.0.1", "--target", "ws://127.0.0.1"], "not both"),
        (["--rooms", "9", "--users", "3"], "9 rooms are too many"),
        (["--json", "/nowhere/x.json"], "there is no such directory"),
        (["--json", ""], "it is a directory"),
        (["203.0.113.9:1"], "203.0.113.9:1 is not on this machine, and the rooms of a load test stay in the"),
        (["0.0.0.0:1"], "0.0.0.0:1 is not on this machine"),
        (["ws://203.0.113.9/ws"], "ws://203.0.113.9/ws is not on this machine"),
        (["nowhere.invalid"], "cannot resolve nowhere.invalid: "),
        (["--rate", "nan"], "must be numbers"),
    ],
)
async def test_what_cannot_run_is_2_and_a_line(args: list[str], says: str) -> None:
    done = await run(*args)
    assert done.returncode == 2
    assert re.search(says, done.stderr.decode()), done.stderr
    assert b"Traceback" not in done.stderr


async def test_a_lie_is_3_and_in_words() -> None:
    change, kind, _ = LIES["alter a byte"]
    liar = Liar("u3", change)
    async with serving() as port, proxying(port, liar) as lying_port:
        done = await run(f"127.0.0.1:{lying_port}", *SHORT, "--disconnects=0")
    assert done.returncode == 3
    assert liar.done == 1
    assert re.search(rf"  {kind}: u3-\w+ .*with another text: “….*#”; u\d-\w+ said", done.stdout.decode())
    assert last_line(done) == "BROKEN: 1 phantom; 479 deliveries were right (exit 3)"


async def test_a_rate_limit_is_4_and_says_what_helps() -> None:
    async with serving(rate_limit=True) as port:
        done = await run(f"127.0.0.1:{port}", "--users=2", "--rate=100", "--duration=1", "--disconnects=0")
    assert done.returncode == 4
    assert re.match(r"INVALID: .* start it with --no-rate-limit \(exit 4\)", last_line(done))


async def test_a_server_that_dies_is_3(nursery: trio.Nursery) -> None:
    command = [sys.executable, "-c", MAIN, "serve", "--port=0", "--journal=memory", "--no-rate-limit"]
    server = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    async with _talking(await _first_line(server), nursery) as client:
        server.kill()
        with trio.fail_after(PATIENCE_S):
            assert await client.wait() == 3
    await server.wait()


async def test_interrupted_it_is_2_and_its_server_ends(nursery: trio.Nursery) -> None:
    async with _talking("", nursery) as client:
        (child,) = _children(client.pid)
        client.send_signal(signal.SIGINT)
        with trio.fail_after(PATIENCE_S):
            assert await client.wait() == 2
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


async def test_where_nobody_reads_any_more_the_verdict_is_still_the_exit_status(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    client = await trio.lowlevel.open_process(
        [*LOADTEST, *SHORT, f"--json={path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert client.stdout is not None and client.stderr is not None
    with trio.fail_after(PATIENCE_S):
        await _first_line(client)
        await client.stdout.aclose()
        assert await client.stderr.receive_some() == b""
        assert await client.wait() == 0
    assert json.loads(path.read_text())["verdict"] == "fine"


async def test_modules_where_it_is_started_are_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    async with own_server(4) as port:
        assert is_listening(port)


async def test_a_server_of_its_own_ends_with_the_block() -> None:
    async with own_server(4) as port:
        assert is_listening(port)
    assert not is_listening(port)


async def test_a_server_of_its_own_ends_when_its_parent_is_killed() -> None:
    code = (
        "import trio\nfrom loadtest.server import own_server\n"
        "async def main():\n    async with own_server(4) as port:\n"
        "        print('at', port, flush=True)\n        await trio.sleep_forever()\ntrio.run(main)"
    )
    parent = await trio.lowlevel.open_process([sys.executable, "-c", code], stdout=subprocess.PIPE)
    port = int((await _first_line(parent)).split()[1])
    assert is_listening(port)
    parent.kill()
    await parent.wait()
    while is_listening(port):  # noqa: ASYNC110 - another process's end is no event of ours
        await trio.sleep(0.02)


def test_a_report_that_cannot_be_written_is_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(CannotRun, match=r"cannot write .*x\.json: permission denied"):
        look_at(tmp_path / "x.json")


def test_a_limit_of_open_files_that_is_too_low_is_told() -> None:
    with pytest.raises(CannotRun, match=r"\d+ open files are needed and the limit is \d+: raise it"):
        allow_files(1 << 40)


async def _first_line(process: trio.Process) -> str:
    """What a process says first; of a server, only where it listens."""
    assert process.stdout is not None
    said = b""
    while b"\n" not in said:
        data = await process.stdout.receive_some()
        assert data, "it ended without a word"
        said += data
    return said.decode().partition("\n")[0].removeprefix("listening on tcp://")


@asynccontextmanager
async def _talking(address: str, nursery: trio.Nursery) -> AsyncGenerator[trio.Process]:
    """A load test that has begun to talk, and would for a minute."""
    command = [*LOADTEST, *([address] if address else []), "--users=4", "--duration=60", "--disconnects=0"]
    client = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert client.stdout is not None
    said = bytearray()
    while b"talking" not in said:
        data = await client.stdout.receive_some()
        assert data, bytes(said)
        said += data
    nursery.start_soon(_drain, client.stdout)
    try:
        yield client
    finally:
        client.kill()


async def _drain(stream: trio.abc.ReceiveStream) -> None:
    while await stream.receive_some():
        pass


def _children(pid: int) -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _parent(entry) == pid]


def _parent(entry: str) -> int:
    try:
        return int(Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
