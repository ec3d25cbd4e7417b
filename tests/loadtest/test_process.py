"""`trio-chat loadtest` as a process on real sockets: its exit statuses, and that it leaves no processes."""

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

from loadtest.command import check_writable, raise_file_limit
from loadtest.scenario import CannotRun
from loadtest.server import own_server
from tests.loadtest.faulty_server import FAULTS, FaultInjector, faulty_proxy
from tests.patience import PATIENCE_S
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import open_server

MAIN = "from trio_chat.cli import main; main(prog_name='trio-chat')"
LOADTEST = [sys.executable, "-c", MAIN, "loadtest"]
SHORT = ["--users=8", "--rate=40", "--duration=1.5", "--disconnects=25%"]


async def run(*args: str) -> subprocess.CompletedProcess[bytes]:
    with trio.fail_after(PATIENCE_S):
        return await trio.run_process(
            [*LOADTEST, *args], capture_stdout=True, capture_stderr=True, check=False
        )


@asynccontextmanager
async def serving(limits: Limits | None = None) -> AsyncGenerator[int]:
    """Run a server, without a rate limit unless limits are given."""
    config = Config(port=0, rate_limit=limits is not None, limits=limits or Limits())
    async with open_server(config) as server:
        yield int(server.addresses[0].rpartition(":")[2])


def is_fine(done: subprocess.CompletedProcess[bytes], verdict: str) -> bool:
    """Return whether nothing was wrong, except that this machine may have been too slow."""
    slow = r"INVALID: the generator could not keep up: [^;]+; lower --rate or --users \(exit 4\)"
    if done.returncode == 4:
        return re.fullmatch(slow, verdict) is not None
    return done.returncode == 0 and re.fullmatch(r"FINE: \d+ deliver.* \(exit 0\)", verdict) is not None


def last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stdout.decode().splitlines()[-1]


def is_listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def test_a_run_with_its_own_server_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = await run(*SHORT, f"--json={path}")
    assert done.stderr == b""
    assert is_fine(done, last_line(done))
    report = json.loads(path.read_text())
    assert report["server"] == "a server of its own"
    assert report["figures"]["deliveries"] == 8 * report["figures"]["sent"]
    assert report["figures"]["sent"] == 60 - report["figures"]["missed"]
    assert sum(report["figures"]["trips"].values()) == 2


async def test_a_run_over_websocket_is_fine() -> None:
    async with serving() as port:
        done = await run("--target", f"ws://127.0.0.1:{port}", *SHORT)
    assert done.stderr == b""
    assert is_fine(done, last_line(done))
    assert f"{8 * 60:,} deliveries verified" in done.stdout.decode() or done.returncode == 4


async def test_standard_output_has_only_the_json_report() -> None:
    done = await run(*SHORT, "--json", "-")
    report = json.loads(done.stdout)
    assert report["exit"] == done.returncode
    assert is_fine(done, done.stderr.decode().splitlines()[-1])


async def test_a_report_that_cannot_be_written_to_standard_output_is_exit_2() -> None:
    with Path("/dev/full").open("wb") as full, trio.fail_after(PATIENCE_S):  # noqa: ASYNC230 - a device
        command = [*LOADTEST, *SHORT, "--json", "-"]
        done = await trio.run_process(command, stdout=full, capture_stderr=True, check=False)
    says = b"trio-chat: cannot write to standard output: No space left on device"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, says)


async def test_the_reported_rooms_are_those_in_the_journal(tmp_path: Path) -> None:
    """The printed command removes all these rooms."""
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
    assert done.stdout.decode().splitlines()[-1] == f"3 rooms and {report['figures']['sent']} entries removed"
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM rooms").fetchone() == (0,)


async def test_an_interrupted_run_reports_its_rooms() -> None:
    async with serving() as port:
        command = [*LOADTEST, f"127.0.0.1:{port}", "--users=4", "--duration=60", "--json=-"]
        client = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert client.stdout is not None and client.stderr is not None
        output = bytearray()
        with trio.fail_after(PATIENCE_S):
            while not re.search(rb"talking +[0-9]+%: 4 users, +[1-9]", output):
                data = await client.stderr.receive_some()
                assert data, bytes(output)
                output += data
            client.send_signal(signal.SIGINT)
            async for data in client.stderr:
                output += data
            report = json.loads(await _rest(client.stdout))
            assert await client.wait() == 130
    *_, command_line, verdict = output.decode().splitlines()
    assert re.fullmatch(r"  trio-chat journal prune --room room0-\w{4}", command_line)
    assert re.fullmatch(r"INTERRUPTED: stopped while talking; until then \d+ deliver.* \(exit 130\)", verdict)
    assert (report["verdict"], report["exit"], report["broken"]) == ("interrupted", 130, {})
    assert report["figures"]["sent"] >= 1
    assert report["figures"]["deliveries"] >= 4, "the deliveries verified so far"


async def test_a_missed_threshold_is_exit_1() -> None:
    async with serving() as port:
        done = await run(f"127.0.0.1:{port}", *SHORT, "--fail-if", "sent > 1", "--fail-if", "p99 > 60s")
    if done.returncode == 4:
        assert is_fine(done, last_line(done))
        pytest.skip("this machine is too slow just now for a valid run")
    assert done.returncode == 1
    assert last_line(done).startswith("THRESHOLD MISSED: sent > 1: 60;")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ["127.0.0.1:1"],
            r"trio-chat: u\d+-\w+ could not join: cannot connect to 127.0.0.1:1: Connection ref",
        ),
        (["--fail-if", "p99"], "invalid threshold: got 'p99', expected a form like 'p99 > 50ms'"),
        (["--disconnects", "ten"], "invalid share: got 'ten'"),
        (["a:b"], "invalid address: got 'a:b'"),
        (["--target", "ws://"], "invalid address: got"),
        (["127.0.0.1", "--target", "ws://127.0.0.1"], "use an address or --target"),
        (["--rooms", "9", "--users", "3"], "invalid rooms: got 9, expected at most 3,"),
        (["--json", "/nowhere/x.json"], "x.json: no such directory"),
        (["--json", ""], "it is a directory"),
        (["203.0.113.9:1"], "203.0.113.9:1 is not on this machine, and the rooms of a load test stay in the"),
        (["0.0.0.0:1"], "0.0.0.0:1 is not on this machine"),
        (["ws://203.0.113.9/ws"], "ws://203.0.113.9/ws is not on this machine"),
        (["nowhere.invalid"], "cannot resolve nowhere.invalid: "),
        (["--rate", "nan"], "expected finite numbers"),
    ],
)
async def test_a_run_that_cannot_start_is_exit_2_and_one_line(args: list[str], says: str) -> None:
    done = await run(*args)
    assert done.returncode == 2
    assert re.search(says, done.stderr.decode()), done.stderr
    assert b"Traceback" not in done.stderr


async def test_a_breach_is_exit_3_and_described(tmp_path: Path) -> None:
    change, kind, _ = FAULTS["alter a byte"]
    injector = FaultInjector("u3", change)
    async with serving() as port, faulty_proxy(port, injector) as faulty_port:
        done = await run(f"127.0.0.1:{faulty_port}", *SHORT, "--disconnects=0", f"--json={tmp_path}/report")
    assert done.returncode == 3
    assert injector.done == 1
    assert re.search(rf"  {kind}: u3-\w+ .*with another text: “….*#”; u\d-\w+ said", done.stdout.decode())
    sent = json.loads((tmp_path / "report").read_text())["figures"]["sent"]
    assert last_line(done) == f"BROKEN: 1 phantom; {8 * sent - 1} deliveries were right (exit 3)"


async def test_a_rate_limited_run_is_exit_4_and_names_the_option() -> None:
    """One message a second is allowed, so the run needs no speed of this machine."""
    async with serving(Limits(talk_burst=1, talk_per_s=1)) as port:
        done = await run(f"127.0.0.1:{port}", "--users=2", "--rate=40", "--duration=1.5", "--disconnects=0")
    assert done.returncode == 4
    assert re.match(
        r"INVALID: .*the server's rate limit refused \d+ commands: start it with", last_line(done)
    )


async def test_a_server_that_dies_is_exit_3() -> None:
    command = [sys.executable, "-c", MAIN, "serve", "--port=0", "--journal=memory", "--no-rate-limit"]
    server = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    async with _running_load_test(await _first_line(server)) as (client, output):
        server.kill()
        with trio.fail_after(PATIENCE_S):
            output += await _rest(client.stdout)
            assert await client.wait() == 3
    await server.wait()
    assert b"no user was connected to send" in output
    assert b"the generator could not keep up" not in output


@pytest.mark.parametrize(
    ("sent", "word", "status"),
    [(signal.SIGINT, "INTERRUPTED", 130), (signal.SIGTERM, "TERMINATED", 143)],
)
async def test_a_signal_ends_it_with_a_partial_report_and_its_server_ends(
    sent: signal.Signals, word: str, status: int
) -> None:
    async with _running_load_test("") as (client, output):
        (child,) = _children(client.pid)
        client.send_signal(sent)
        client.send_signal(sent)
        with trio.fail_after(PATIENCE_S):
            output += await _rest(client.stdout)
            assert await client.wait() == status
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    *summary, verdict = output.decode().splitlines()
    assert re.fullmatch(rf"{word}: stopped while talking; .*\(exit {status}\)", verdict)
    assert any(line.startswith("  delivery, from when it was due  p50") for line in summary)
    assert len(re.findall(r"\(exit \d+\)", output.decode())) == 1


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_after_the_verdict_changes_nothing(sent: signal.Signals) -> None:
    """The signal is sent until the process has ended, also while the interpreter exits."""
    command = [sys.executable, "-P", "-m", "trio_chat", "loadtest", *SHORT, "--duration=0.5"]
    client = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert client.stdout is not None and client.stderr is not None
    output = bytearray()
    with trio.fail_after(PATIENCE_S):
        while not re.search(rb"\(exit \d\)", output):
            data = await client.stdout.receive_some()
            assert data, bytes(output)
            output += data
        while client.poll() is None:
            client.send_signal(sent)
            await trio.lowlevel.checkpoint()
        assert await client.stderr.receive_some() == b""
    assert output.decode().endswith(f"(exit {client.returncode})\n")
    assert client.returncode in (0, 4), "the status is 4 if this machine is too slow"


async def test_a_run_stopped_before_a_user_is_connected_says_so() -> None:
    """The server accepts connections and never replies."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [*LOADTEST, f"127.0.0.1:{silent.getsockname()[1]}", "--users=4"]
        client = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert client.stdout is not None and client.stderr is not None
        with trio.fail_after(PATIENCE_S):
            output = await client.stdout.receive_some()
            client.send_signal(signal.SIGINT)
            output += await _rest(client.stdout)
            assert await _rest(client.stderr) == b""
            assert await client.wait() == 130
    assert output.decode().splitlines()[-1] == (
        "INTERRUPTED: stopped while connecting; no user was connected (no server has replied yet) (exit 130)"
    )


async def test_the_exit_status_is_the_verdict_even_if_output_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    client = await trio.lowlevel.open_process(
        [*LOADTEST, *SHORT, f"--json={path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert client.stdout is not None and client.stderr is not None
    with trio.fail_after(PATIENCE_S):
        await _first_line(client)
        await client.stdout.aclose()
        assert await client.stderr.receive_some() == b""
        status = await client.wait()
    report = json.loads(path.read_text())
    assert report["exit"] == status
    assert report["verdict"] in ("fine", "invalid"), "the verdict is INVALID if this machine is too slow"


async def test_modules_in_the_working_directory_are_not_imported(
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
    while is_listening(port):  # noqa: ASYNC110 - the end of another process is not a Trio event
        await trio.sleep(0.02)


def test_an_unwritable_report_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(CannotRun, match=r"cannot write .*x\.json: permission denied"):
        check_writable(tmp_path / "x.json")


def test_too_few_open_files_are_refused_before_the_run() -> None:
    with pytest.raises(CannotRun, match=r"cannot open \d+ files: the limit is \d+; raise it"):
        raise_file_limit(1 << 40)


async def _first_line(process: trio.Process) -> str:
    """Return the first line of a process; for a server, the address in it."""
    assert process.stdout is not None
    output = b""
    while b"\n" not in output:
        data = await process.stdout.receive_some()
        assert data, "it ended without output"
        output += data
    return output.decode().partition("\n")[0].removeprefix("listening on tcp://")


@asynccontextmanager
async def _running_load_test(address: str) -> AsyncGenerator[tuple[trio.Process, bytearray]]:
    """Run a load test of a minute; yield it and its output once messages are sent."""
    command = [*LOADTEST, *([address] if address else []), "--users=4", "--duration=60", "--disconnects=0"]
    client = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert client.stdout is not None
    output = bytearray()
    while not re.search(rb"talking +[0-9]+%: 4 users, +[1-9]", output):
        data = await client.stdout.receive_some()
        assert data, bytes(output)
        output += data
    try:
        yield client, output
    finally:
        client.kill()


async def _rest(stream: trio.abc.ReceiveStream | None) -> bytes:
    """Return the rest of a stream."""
    assert stream is not None
    return b"".join([data async for data in stream])


def _children(pid: int) -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _parent(entry) == pid]


def _parent(entry: str) -> int:
    try:
        return int(Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
