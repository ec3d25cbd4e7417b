"""Full and read-only disks under server processes (row 37 of the table of faults).

A disk in memory is filled with a ballast file. A broken disk is simulated by two measures: files opened later
are read-only, and open files accept no further bytes. If nothing can be mounted, a resource limit of the
process is used instead.
"""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import trio

from tests.faults.disks import SmallDisk, allow_writes, forbid_writes, small_disk
from tests.faults.served import JOURNAL, PATIENCE_S, Served, enter, refused, says, served, shown
from tests.server.harness import RawClient
from trio_chat.wire.messages import Error, History, HistoryPage, Members, Ping, Pong, Who

LENGTHS = (20, 3_000, 200)
WHY = {
    # If SQLite frees some bytes when it gives up, only its own error is left.
    "full": {"database or disk is full", "No space left on device", "disk I/O error"},
    "read-only": {"Read-only file system"},
}
STATUSES = {"full": 75, "read-only": 2}


@dataclass
class DiskFailure:
    """How a disk fails, and how it recovers; both functions get the server's process id."""

    begin: Callable[[int], object]
    end: Callable[[int], object]


def full(disk: SmallDisk) -> DiskFailure:
    # Leave some space, so that it runs out in the middle of a write.
    return DiskFailure(lambda _: disk.fill(leaves=20_000), lambda _: disk.free())


def read_only(disk: SmallDisk) -> DiskFailure:
    def begin(process: int) -> None:
        disk.forbid_opening()
        forbid_writes(process)

    def end(process: int) -> None:
        disk.allow_opening()
        allow_writes(process)

    return DiskFailure(begin, end)


class Talk:
    """The texts sent by the members, and whether each was acknowledged or refused."""

    def __init__(self) -> None:
        self.acked: dict[int, str] = {}
        self.refused: dict[str, tuple[RawClient, str]] = {}  # by ref: the author and the text
        self._count = count(1)

    async def say_more(self, *peers: RawClient, times: int = 3) -> None:
        """Let each member send some more texts, one after the other."""
        for number in [next(self._count) for _ in range(times)]:
            for peer in peers:
                ref = f"{number}.{id(peer)}"
                await self.say(peer, f"number {ref} ".ljust(LENGTHS[number % len(LENGTHS)], "."), ref)

    async def say(self, peer: RawClient, text: str, ref: str) -> int:
        if seq := await says(peer, text, ref):
            assert seq not in self.acked, "a number is given once"
            self.acked[seq] = text
            self.refused.pop(ref, None)
        else:
            self.refused[ref] = peer, text
        return seq

    async def say_refused_again(self) -> None:
        for ref, (peer, text) in list(self.refused.items()):
            assert await self.say(peer, text, ref), "the server recovers without any action"

    def is_whole(self) -> bool:
        return sorted(self.acked) == list(range(1, len(self.acked) + 1))


async def run_through_failure(server: Served, talk: Talk, trouble: DiskFailure) -> RawClient:
    """Let two members talk while the disk fails and recovers; refused texts are not delivered."""
    ada, bob = await enter(server, "ada"), await enter(server, "bob")
    await talk.say_more(ada, bob)
    assert not talk.refused and talk.is_whole()
    trouble.begin(server.process.pid)
    while len(talk.refused) < 3:
        await talk.say_more(ada, bob, times=1)
        assert len(talk.acked) < 2_000, "it is never full"
    await _is_answered(bob, set(talk.acked.values()))
    eve = await enter(server, "eve")
    trouble.end(server.process.pid)
    assert {text for _, text in talk.refused.values()}.isdisjoint(shown(bob).values())
    await talk.say_refused_again()
    await talk.say_more(ada, bob, eve)
    assert not talk.refused and talk.is_whole(), "without a hole"
    for peer in (ada, bob, eve):
        await _sees(peer, max(talk.acked))
    assert shown(bob) == {seq: text for seq, text in talk.acked.items() if seq >= min(shown(bob))}
    return ada


async def _is_answered(peer: RawClient, known: set[str]) -> None:
    """Check that queries are answered, also queries that read the journal."""
    peer.send(Ping(n=1), Who("lobby", ref="w"), History("lobby", ref="h"))
    await peer.answer(Pong, n=1)
    await peer.answer(Members, ref="w", names=["ada", "bob"])
    page = await peer.answer(HistoryPage, ref="h")
    assert {entry.text for entry in page.entries} <= known, "the page holds no refused text"
    assert not [event for event in peer.seen if isinstance(event, Error) and event.code != "unavailable"]


async def _sees(peer: RawClient, head: int) -> None:
    while not peer.seqs() or peer.seqs()[-1] < head:
        await peer.next()


async def assert_all_kept(server: Served, talk: Talk, ada: RawClient) -> None:
    """Check that every acknowledged text is kept once, and that its ref is known."""
    back = server.dial()
    await back.hello("ada", ada.token)
    room = await back.join("lobby", recent=200)
    assert room.head == max(talk.acked)
    await _sees(back, room.head)
    assert shown(back) == {seq: text for seq, text in talk.acked.items() if seq >= min(shown(back))}
    first = next(text for text in talk.acked.values() if text.split()[1].endswith(f".{id(ada)}"))
    assert talk.acked[await says(back, first, first.split()[1])] == first


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mount a small disk at the test's directory, for processes started inside."""
    with small_disk(tmp_path) as disk:
        yield disk


@pytest.mark.parametrize("kind", [full, read_only])
async def test_a_disk_that_cannot_be_written_refuses_and_recovers(
    disk: SmallDisk, kind: Callable[[SmallDisk], DiskFailure]
) -> None:
    talk, inside = Talk(), disk.inside([])
    async with served(disk.path, inside=inside) as server:
        ada = await run_through_failure(server, talk, kind(disk))
        await server.kill()
    async with served(disk.path, inside=inside) as server:
        await assert_all_kept(server, talk, ada)


async def test_a_process_that_may_not_write_refuses_and_recovers(tmp_path: Path) -> None:
    talk = Talk()
    async with served(tmp_path) as server:
        ada = await run_through_failure(server, talk, DiskFailure(forbid_writes, allow_writes))
        await server.kill()
    async with served(tmp_path) as server:
        await assert_all_kept(server, talk, ada)


async def test_a_server_stopped_on_a_full_disk_ends_cleanly(disk: SmallDisk) -> None:
    """It cannot mark the run as stopped; the next server finds all acknowledged texts."""
    talk, inside = Talk(), disk.inside([])
    async with served(disk.path, inside=inside) as server:
        ada = await enter(server, "ada")
        await talk.say_more(ada)
        disk.fill()
        while not talk.refused:
            await talk.say_more(ada, times=1)
        server.process.send_signal(signal.SIGTERM)
        await ada.ended_with("draining")
        ada.link.close()
        assert await server.process.wait() == 0
    disk.free()
    async with served(disk.path, inside=inside) as server:
        await assert_all_kept(server, talk, ada)


@pytest.mark.parametrize("before", [False, True], ids=["a new journal", "one that was there"])
@pytest.mark.parametrize("kind", ["full", "read-only"])
async def test_a_server_on_an_unwritable_disk_does_not_start_and_names_the_reason(
    disk: SmallDisk, kind: str, before: bool
) -> None:
    inside = disk.inside([])
    if before:
        async with served(disk.path, inside=inside) as server:
            assert await says(await enter(server, "ada"), "hello", "r1") == 1
            server.process.terminate()
            assert await server.process.wait() == 0
    begin, end = (disk.fill, disk.free) if kind == "full" else (disk.forbid_opening, disk.allow_opening)
    begin()
    said = await refused(disk.path, inside=inside, status=STATUSES[kind])
    if kind == "full":
        assert said.startswith(f"cannot keep a journal in {disk.path / JOURNAL}: ")
        assert said.rpartition(": ")[2].partition(";")[0] in WHY[kind]
    else:
        assert (
            said == f"cannot write to the directory of the journal {disk.path / JOURNAL}; it may be read-only"
        )
    end()
    async with served(disk.path, inside=inside) as server:
        assert await says(await enter(server, "bob"), "and on", "r2") == 1 + before


async def test_the_test_disk_is_small_and_private(tmp_path: Path, disk: SmallDisk) -> None:
    """Otherwise the other tests would prove nothing."""
    copy = disk.inside(["cp", __file__, str(tmp_path / "copy")])

    async def error() -> str:
        return (await trio.run_process(copy, check=False, capture_stderr=True)).stderr.decode()

    with trio.fail_after(PATIENCE_S):
        disk.fill()
        assert "No space left on device" in await error()
        disk.free()
        assert await error() == ""
        assert (disk.seen / "copy").read_bytes() == Path(__file__).read_bytes()  # noqa: ASYNC240 - it is there
        disk.forbid_opening()
        assert "Read-only file system" in await error()
    assert os.listdir(tmp_path) == []
