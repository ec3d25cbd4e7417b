"""A server on a journal in a file: its end, sudden or not, and its return; a disk that fails under it.

These run by the real clock, since the disk's threads know no other; none waits for it.
"""

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
import trio

from loadtest.server import own_server
from tests.bench.process import ServerProcess
from tests.journal.test_memory import said, texts
from tests.journal.test_sqlite import NAME, reopened
from tests.patience import PATIENCE_S
from tests.server.harness import RawClient, ServerHarness, packed, serving
from tests.server.test_faults_sockets import MAIN, Door
from trio_chat.errors import LinkBroken
from trio_chat.journal import sqlite_file
from trio_chat.journal.sqlite import SqliteStore, open_sqlite
from trio_chat.net.link import SocketLink
from trio_chat.server.config import Config, Limits
from trio_chat.wire.codec import decode_entry
from trio_chat.wire.messages import Ack, Error, Gap, Ping, Pong, Said, Say, TopicChanged


@asynccontextmanager
async def on_file(directory: Path, **limits: int) -> AsyncGenerator[ServerHarness]:
    """Run a server on a test's journal until the end of the block."""
    config = Config(journal=f"{directory}/{NAME}", rate_limit=False, limits=Limits(**limits))
    with trio.fail_after(PATIENCE_S):
        async with serving(config, random_bytes=os.urandom) as house:
            peers: list[RawClient] = []
            dial = house.dial

            def dialled(*, buffer_bytes: int = 65_536, address: str = "") -> RawClient:
                peers.append(dial(buffer_bytes=buffer_bytes, address=address))
                return peers[-1]

            house.dial = dialled  # type: ignore[method-assign]
            yield house
            for peer in peers:
                peer.link.close()  # or the server would wait for them to do so


def refuse_writes(house: ServerHarness, refuse: bool = True) -> None:
    house.server.store._writer._db.execute(f"PRAGMA query_only = {int(refuse)}")  # type: ignore[attr-defined]


async def test_a_client_that_resumes_after_a_restart_gets_exactly_the_missed_entries(tmp_path: Path) -> None:
    async with on_file(tmp_path) as house:
        ada = await house.enter("ada", "lobby")
        bob = await house.enter("bob")
        room = await bob.join("lobby")
        for text in "abc":
            await ada.say(text)
        await bob.answer(Said, seq=1)
        token = bob.token
    async with on_file(tmp_path) as house:
        bob = await house.enter("bob", token=token)
        again = await bob.join("lobby", after=1, epoch=room.epoch)
        assert (again.resumed, again.first, again.head) == (True, 1, 3)
        for seq in (2, 3):
            await bob.answer(Said, seq=seq)
        eve = await house.enter("eve")
        assert (await eve.join("lobby", after=0, epoch=room.epoch, limit=1)).resumed
        await eve.answer(Gap, after=0, next=3, kept=True)
        await eve.answer(Said, seq=3)


async def test_welcome_names_the_server_the_same_after_a_restart(tmp_path: Path) -> None:
    ids = []
    for directory in ("a", "a", "b"):
        os.makedirs(tmp_path / directory, exist_ok=True)
        async with on_file(tmp_path / directory) as house:
            ids.append((await house.dial().hello("ada")).server_id)
            assert ids[-1] == house.server.store.server_id
    assert ids[0] == ids[1] != ids[2]


async def test_a_retry_after_a_restart_is_the_same_entry(tmp_path: Path) -> None:
    async with on_file(tmp_path) as house:
        ada = await house.enter("ada", "lobby")
        ada.send(Say("lobby", "once", ref="r1"))
        await ada.answer(Ack, ref="r1", seq=1)
    async with on_file(tmp_path) as house:
        back = await house.enter("ada", "lobby", token=ada.token)
        back.send(Say("lobby", "once", ref="r1"))
        await back.answer(Ack, ref="r1", seq=1)
        back.send(Say("lobby", "twice", ref="r1"))
        assert (await back.answer(Error)).code == "ref_reuse"
        assert await back.say("next") == 2


async def test_another_history_is_not_resumed(tmp_path: Path) -> None:
    async with on_file(tmp_path) as house:
        room = await (await house.enter("ada")).join("lobby")
        await (await house.enter("bob", "lobby")).say("a")
    os.unlink(tmp_path / f"{NAME}-mark")
    async with on_file(tmp_path) as house:
        ada = await house.enter("ada")
        again = await ada.join("lobby", after=1, epoch=room.epoch)
        assert not again.resumed and again.epoch != room.epoch
        eve = await house.enter("eve")
        assert not (await eve.join("lobby", after=2, epoch=again.epoch)).resumed, "beyond the head"


async def test_a_disk_that_cannot_be_written_refuses_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_file(tmp_path) as house:
        ada = await house.enter("ada", "lobby")
        bob = await house.enter("bob", "lobby")
        await ada.say("a")
        refuse_writes(house)
        ada.send(Say("lobby", "b", ref="r1"))
        assert (await ada.answer(Error)).code == "unavailable"
        bob.send(Ping(1))
        await bob.answer(Pong, n=1)
        assert bob.seqs() == [1], "nothing was shown"
        refuse_writes(house, False)
        ada.send(Say("lobby", "b", ref="r1"))
        await ada.answer(Ack, ref="r1", seq=2)
        await bob.answer(Said, seq=2, text="b")
    assert "cannot write the journal: attempt to write a readonly database" in caplog.text


async def test_a_slow_reader_does_not_hold_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes some KiB while ninety are said: it reads the journal, and the log is short."""
    monkeypatch.setattr(sqlite_file, "WAL_PAGES", 256)
    log = tmp_path / f"{NAME}-wal"
    async with on_file(tmp_path, tail_bytes=64 << 10) as house:
        last = 0
        slow = await house.enter("eve", "lobby", buffer_bytes=4_096)
        ada = await house.enter("ada", "lobby", buffer_bytes=1 << 20)
        for _ in range(60):
            await ada.send_all(packed(*[Say("lobby", "x" * 3_000)] * 30))
            last = await ada.say("that was it")
            slow.take(await slow.link.receive_some())
            assert os.stat(log).st_size < 4 << 20
        assert os.stat(tmp_path / NAME).st_size > 4 << 20
        while not slow.seqs() or slow.seqs()[-1] < last:
            await slow.next()
        assert slow.seqs() == list(range(1, last + 1))


async def test_a_forced_stop_on_a_hanging_disk_leaves_a_valid_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread of a running commit cannot be cancelled: the server waits for it only up to a deadline."""
    await (await open_sqlite(tmp_path / NAME)).aclose()
    monkeypatch.setattr("trio_chat.journal.sqlite.CLOSE_S", 0.01)
    with trio.fail_after(PATIENCE_S), closing(sqlite3.connect(tmp_path / NAME)) as disk:
        with trio.CancelScope() as scope:
            config = Config(journal=f"{tmp_path}/{NAME}")
            async with serving(config, random_bytes=os.urandom, in_doubt=True) as house:
                ada = await house.enter("ada", "lobby")
                disk.execute("BEGIN IMMEDIATE")
                ada.send(Say("lobby", "on its way", ref="r1"), Ping(1))
                await ada.answer(Pong, n=1)
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert "its disk did not finish" in caplog.text
        disk.rollback()
        store = await reopened(tmp_path)
        await store.open("lobby", "Lobby")
        assert await texts(store) in ([], ["on its way"])
        assert [outcome.seq - len(await texts(store)) for outcome in await said(store, "next")] == [0]
        await store.aclose()


# --- as a process ---------------------------------------------------------------------------------------


@asynccontextmanager
async def process(directory: Path) -> AsyncGenerator[tuple[trio.Process, Door]]:
    """`trio-chat serve` on the journal of a test, and its door; killed at the end, if it still runs."""
    journal = f"--journal={directory}/{NAME}"
    server = await trio.lowlevel.open_process(
        [sys.executable, "-c", MAIN, "serve", "--port=0", "--no-rate-limit", journal],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    try:
        first_line = (await server.stdout.receive_some()).partition(b"\n")[0]
        with closing(Door(int(first_line.rpartition(b":")[2]))) as door:
            yield server, door
    finally:
        server.kill()
        with trio.move_on_after(10, shield=True):
            await server.wait()
            await server.stdout.aclose()


async def talk(peer: RawClient, name: str, room: str, acked: dict[str, int]) -> None:
    """Send one text after another, each after the ack of the last, until the server is gone."""
    number = 0
    with suppress(trio.EndOfChannel, LinkBroken):
        while True:
            ref = f"{name}.{number}"
            peer.send(Say(room, ref, ref=ref))
            while not isinstance(event := await peer.next(), Ack) or event.ref != ref:
                pass
            assert isinstance(event.seq, int)
            acked[ref] = event.seq
            number += 1


async def entries(store: SqliteStore, room: str) -> list[Said | TopicChanged]:
    await store.open(room, room)
    found = await store.read(room, 0, 2**53, entries_max=10**6, bytes_max=10**9)
    return [decode_entry(payload) for payload in found.payloads]


async def test_every_acked_entry_survives_a_kill_while_200_members_talk(tmp_path: Path) -> None:
    rooms = [f"room{number}" for number in range(20)]
    acked: dict[str, int] = {}
    epochs: dict[str, str] = {}
    peers: list[RawClient] = []
    with trio.fail_after(PATIENCE_S):
        async with process(tmp_path) as (server, door), trio.open_nursery() as nursery:
            for number in range(200):
                room = rooms[number % 20]
                peer = RawClient(SocketLink(door.dial(), ""))
                await peer.hello(f"u{number}")
                epochs[room] = (await peer.join(room)).epoch
                nursery.start_soon(talk, peer, f"u{number}", room, acked)
                peers.append(peer)
            while len(acked) < 2_000:  # noqa: ASYNC110 - it is another process that gets on
                await trio.sleep(0.01)
            server.kill()
        store = await open_sqlite(tmp_path / NAME)
        kept = {room: await entries(store, room) for room in rooms}
        await store.aclose()
        for each in kept.values():
            assert [entry.seq for entry in each] == list(range(1, len(each) + 1))
        texts = [entry.text for each in kept.values() for entry in each]
        seqs = {entry.text: entry.seq for each in kept.values() for entry in each}
        assert len(seqs) == len(texts), "once"
        assert len(acked) >= 2_000 and acked.items() <= seqs.items()
        async with process(tmp_path) as (_, door):
            back = RawClient(SocketLink(door.dial(), ""))
            await back.hello("u0", peers[0].token)
            room = rooms[0]
            assert (await back.join(room, after=1, epoch=epochs[room])).resumed, "the machine has not booted"
            back.send(Say(room, "u0.0", ref="u0.0"))
            await back.answer(Ack, ref="u0.0", seq=acked["u0.0"])
            assert await back.say("and on it goes", room) == len(kept[room]) + 1


async def test_a_server_without_options_keeps_a_file_and_prints_its_path(tmp_path: Path) -> None:
    """A second server on the same file is refused (row 38 of the table of faults)."""
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    del environment["TRIO_CHAT_JOURNAL"]
    command = [sys.executable, "-c", MAIN, "serve", "--port=0"]
    with trio.fail_after(PATIENCE_S):
        server = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=environment)
        assert server.stdout is not None
        try:
            said = b""
            while said.count(b"\n") < 3:
                said += await server.stdout.receive_some()
            where = said.decode().splitlines()[2].removeprefix("messages are kept forever, in ")
            assert Path(where).is_relative_to(tmp_path)
            assert os.path.exists(where)  # noqa: ASYNC240 - a look at a file that is there
            second = await trio.run_process(
                command, capture_stdout=True, capture_stderr=True, check=False, env=environment
            )
            assert (second.returncode, second.stdout) == (2, b"")
            why = (
                f"a server is using the journal {where}; stop it first,"
                " or name another journal with --journal PATH"
            )
            assert second.stderr.decode() == f"trio-chat: {why}\n"
            server.terminate()
            assert await server.wait() == 0
            await server.stdout.aclose()
        finally:
            server.kill()  # should it still be there


async def test_the_load_tool_and_the_benchmark_leave_that_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIO_CHAT_JOURNAL")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with trio.fail_after(PATIENCE_S):
        async with own_server(4):
            assert os.listdir(tmp_path) == []
    with ServerProcess.ours(None):
        assert os.listdir(tmp_path) == []
