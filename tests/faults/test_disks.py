"""Row 37 on disks that are really full, or that really cannot be written, under servers that are processes.

A disk in memory is filled with a ballast; its files are made read-only for whoever opens them, while what is
open takes no further byte, which together is what a broken disk does; and where nothing can be mounted, a
limit that any process may set stands for all of it.
"""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import trio

from tests.faults.disks import SmallDisk, no_more_writes, small_disk, writes_again
from tests.faults.served import JOURNAL, PATIENCE_S, Served, enter, refused, says, served, shown
from tests.server.harness import RawClient
from trio_chat.wire.messages import Error, History, HistoryPage, Members, Ping, Pong, Who

LENGTHS = (20, 3_000, 200)
WHY = {
    # A disk on which some bytes are left again once SQLite has given up is what SQLite says of it.
    "full": {"database or disk is full", "No space left on device", "disk I/O error"},
    "read-only": {"Read-only file system"},
}
STATUSES = {"full": 75, "read-only": 2}


@dataclass
class Trouble:
    """How a disk fails, and how it is well again; each is told the server's process."""

    begin: Callable[[int], object]
    end: Callable[[int], object]


def full(disk: SmallDisk) -> Trouble:
    # With room for some more, so that it is in the middle of something that there is none any more.
    return Trouble(lambda _: disk.fill(leaves=20_000), lambda _: disk.free())


def read_only(disk: SmallDisk) -> Trouble:
    def begin(process: int) -> None:
        disk.forbid_opening()
        no_more_writes(process)

    def end(process: int) -> None:
        disk.allow_opening()
        writes_again(process)

    return Trouble(begin, end)


class Talk:
    """What was said by whom, and what became of it."""

    def __init__(self) -> None:
        self.acked: dict[int, str] = {}
        self.refused: dict[str, tuple[RawClient, str]] = {}  # by ref: who said what
        self._count = count(1)

    async def go_on(self, *peers: RawClient, times: int = 3) -> None:
        """Each says some more, one after the other."""
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
            assert await self.say(peer, text, ref), "well again, and nobody has done anything for it"

    def is_whole(self) -> bool:
        return sorted(self.acked) == list(range(1, len(self.acked) + 1))


async def through_trouble(server: Served, talk: Talk, trouble: Trouble) -> RawClient:
    """Two talk, the disk fails and is well again. Nobody is shown what was refused; members stay."""
    ada, bob = await enter(server, "ada"), await enter(server, "bob")
    await talk.go_on(ada, bob)
    assert not talk.refused and talk.is_whole()
    trouble.begin(server.process.pid)
    while len(talk.refused) < 3:
        await talk.go_on(ada, bob, times=1)
        assert len(talk.acked) < 2_000, "it is never full"
    await _is_answered(bob, set(talk.acked.values()))
    eve = await enter(server, "eve")
    trouble.end(server.process.pid)
    assert {text for _, text in talk.refused.values()}.isdisjoint(shown(bob).values())
    await talk.say_refused_again()
    await talk.go_on(ada, bob, eve)
    assert not talk.refused and talk.is_whole(), "without a hole"
    for peer in (ada, bob, eve):
        await _sees(peer, max(talk.acked))
    assert shown(bob) == {seq: text for seq, text in talk.acked.items() if seq >= min(shown(bob))}
    return ada


async def _is_answered(peer: RawClient, known: set[str]) -> None:
    """Questions are, also those for which the journal has to be read."""
    peer.send(Ping(n=1), Who("lobby", ref="w"), History("lobby", ref="h"))
    await peer.answer(Pong, n=1)
    await peer.answer(Members, ref="w", names=["ada", "bob"])
    page = await peer.answer(HistoryPage, ref="h")
    assert {entry.text for entry in page.entries} <= known, "and holds nothing that was refused"
    assert not [event for event in peer.seen if isinstance(event, Error) and event.code != "unavailable"]


async def _sees(peer: RawClient, head: int) -> None:
    while not peer.seqs() or peer.seqs()[-1] < head:
        await peer.next()


async def is_all_there(server: Served, talk: Talk, ada: RawClient) -> None:
    """What was acked is, once, and its refs are known."""
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
    """Where the test's own directory is, for those who run inside."""
    with small_disk(tmp_path) as disk:
        yield disk


@pytest.mark.parametrize("kind", [full, read_only])
async def test_a_disk_that_cannot_be_written_refuses_and_recovers(
    disk: SmallDisk, kind: Callable[[SmallDisk], Trouble]
) -> None:
    talk, inside = Talk(), disk.inside([])
    async with served(disk.path, inside=inside) as server:
        ada = await through_trouble(server, talk, kind(disk))
        await server.kill()
    async with served(disk.path, inside=inside) as server:
        await is_all_there(server, talk, ada)


async def test_a_process_that_may_not_write_refuses_and_recovers(tmp_path: Path) -> None:
    talk = Talk()
    async with served(tmp_path) as server:
        ada = await through_trouble(server, talk, Trouble(no_more_writes, writes_again))
        await server.kill()
    async with served(tmp_path) as server:
        await is_all_there(server, talk, ada)


async def test_stopped_while_the_disk_is_full_it_ends_in_good_order(disk: SmallDisk) -> None:
    """It cannot even say that it has stopped; the next finds all that was acked."""
    talk, inside = Talk(), disk.inside([])
    async with served(disk.path, inside=inside) as server:
        ada = await enter(server, "ada")
        await talk.go_on(ada)
        disk.fill()
        while not talk.refused:
            await talk.go_on(ada, times=1)
        server.process.send_signal(signal.SIGTERM)
        await ada.ended_with("draining")
        ada.link.close()
        assert await server.process.wait() == 0
    disk.free()
    async with served(disk.path, inside=inside) as server:
        await is_all_there(server, talk, ada)


@pytest.mark.parametrize("before", [False, True], ids=["a new journal", "one that was there"])
@pytest.mark.parametrize("kind", ["full", "read-only"])
async def test_where_nothing_can_be_written_no_server_starts_and_it_says_why(
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


async def test_a_disk_is_what_it_says(tmp_path: Path, disk: SmallDisk) -> None:
    """Small, and nobody else's: or all of the above would prove nothing."""
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
