"""A torn log of a killed server: it holds a prefix of the acknowledged entries, and clients are told if the
history is another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from tests.faults.served import JOURNAL, PATIENCE_S, says, served, shown
from tests.server.harness import RawClient
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.wire.codec import decode_entry

LOG = f"{JOURNAL}-wal"
FILES = (JOURNAL, LOG, f"{JOURNAL}-mark")
# SQLite's write-ahead log has a header of 32 bytes, then frames: a header of 24 bytes and a page. In the
# frame header the second number is not 0 in the last frame of a commit.
LOG_HEADER, FRAME_HEADER, PAGE = 32, 24, 4_096
FRAME = FRAME_HEADER + PAGE
SIZES = (20, 4_000, 4_000, 20, 300)


@dataclass
class Left:
    """The files of a killed server; `acked` has the acknowledged texts by number, in the room's `epoch`."""

    directory: Path
    files: dict[str, bytes]
    epoch: str
    token: str
    acked: dict[int, str]

    @property
    def log(self) -> bytes:
        return self.files[LOG]

    def put_back(self, log: bytes) -> None:
        """Restore all files except the log, in place: a new inode would count as a copy."""
        for name in FILES:
            (self.directory / name).write_bytes(log if name == LOG else self.files[name])

    def commits(self) -> list[int]:
        """Return the offset in the log at which each commit ends."""
        ends = range(LOG_HEADER + FRAME, len(self.log) + 1, FRAME)
        last_frames = [end for end in ends if int.from_bytes(self.log[end - FRAME + 4 : end - FRAME + 8])]
        return [LOG_HEADER, *last_frames]


async def run_and_kill(directory: Path) -> Left:
    acked: dict[int, str] = {}
    async with served(directory) as server:
        ada = server.dial()
        token = (await ada.hello("ada")).token
        epoch = (await ada.join("lobby")).epoch
        for number, size in enumerate(SIZES):
            text = f"number {number} ".ljust(size, ".")
            acked[await says(ada, text, f"r{number}")] = text
        await server.kill()
    files = {name: (directory / name).read_bytes() for name in FILES}
    return Left(directory, files, epoch, token, acked)


async def read_journal(directory: Path) -> tuple[str, dict[int, str]]:
    """Return the epoch of the lobby, and its entries."""
    store = await open_sqlite(directory / JOURNAL)
    try:
        epoch = (await store.open("lobby", "lobby")).epoch
        page = await store.read("lobby", 0, 2**53, entries_max=10_000, bytes_max=1 << 30)
    finally:
        await store.aclose()
    entries = [decode_entry(payload) for payload in page.payloads]
    return epoch, {entry.seq: entry.text for entry in entries}


def is_prefix(acked: dict[int, str], kept: dict[int, str]) -> bool:
    """Return whether `kept` is a prefix of `acked`, without a gap."""
    return list(kept.items()) == list(acked.items())[: len(kept)]


def places(left: Left) -> Iterator[int]:
    """Yield offsets before and within each commit: in a header, in a page, and at its last byte."""
    yield from (0, LOG_HEADER - 1)
    for begin, end in pairwise(left.commits()):
        yield from (begin, begin + FRAME_HEADER // 2, begin + FRAME // 2, end - 1)
    yield len(left.log)


async def test_a_truncated_log_leaves_whole_commits_and_new_epochs(
    tmp_path: Path,
) -> None:
    with trio.fail_after(PATIENCE_S):
        left = await run_and_kill(tmp_path)
        found: dict[int, bool] = {}  # by the number of kept entries: whether the epoch stayed
        for at in places(left):
            left.put_back(left.log[:at])
            epoch, kept = await read_journal(tmp_path)
            assert is_prefix(left.acked, kept), f"cut at {at}"
            whole = sum(end <= at for end in left.commits()) - 1
            assert len(kept) == min(max(whole, 0), len(left.acked)), f"cut at {at}: what is whole is there"
            assert (epoch == left.epoch) == (len(kept) == len(left.acked)), f"cut at {at}"
            found[len(kept)] = epoch == left.epoch
    lost = dict.fromkeys(range(len(left.acked)), False)
    assert found == lost | {len(left.acked): True}, "some cut left each number of entries"


async def test_a_log_is_valid_up_to_a_wrong_byte(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_S):
        left = await run_and_kill(tmp_path)
        for at in [place for place in places(left) if place < len(left.log)]:
            log = bytearray(left.log)
            log[at] ^= 0x10
            left.put_back(bytes(log))
            epoch, kept = await read_journal(tmp_path)
            assert is_prefix(left.acked, kept), f"wrong at {at}"
            assert (epoch == left.epoch) == (len(kept) == len(left.acked)), f"wrong at {at}"
            whole = sum(end <= at for end in left.commits()) - 1
            assert len(kept) >= max(whole, 0), f"wrong at {at}: what is before it is there"


@pytest.mark.parametrize("where", ["nothing is left", "within a commit", "between commits", "all is there"])
async def test_a_client_gets_the_true_history_after_a_torn_log(tmp_path: Path, where: str) -> None:
    left = await run_and_kill(tmp_path)
    middle = left.commits()[len(left.acked) // 2]
    at = {
        "nothing is left": 0,
        "within a commit": middle + FRAME + FRAME // 2,
        "between commits": middle,
        "all is there": len(left.log),
    }[where]
    left.put_back(left.log[:at])
    async with served(tmp_path) as server:
        ada = server.dial()
        await ada.hello("ada", left.token)
        room = await ada.join("lobby", after=1, epoch=left.epoch)
        whole = at == len(left.log)
        assert (room.resumed, room.epoch == left.epoch) == (whole, whole)
        if whole:
            await _sees(ada, len(left.acked))
            assert shown(ada) == dict(list(left.acked.items())[1:])
        eve = server.dial()
        await eve.hello("eve")
        kept = (await eve.join("lobby", recent=200)).head
        await _sees(eve, kept)
        assert shown(eve) == {seq: left.acked[seq] for seq in range(1, kept + 1)}
        # Lost texts can be sent again, and kept texts are not duplicated.
        numbers = [await says(ada, text, f"r{number}") for number, text in enumerate(left.acked.values())]
        assert numbers == list(left.acked)
        assert await says(ada, "and on", "new") == len(left.acked) + 1
        await server.kill()
    async with served(tmp_path) as server:
        bob = server.dial()
        await bob.hello("bob")
        assert (await bob.join("lobby", after=1, epoch=room.epoch)).resumed, "the new epoch stays"


async def _sees(peer: RawClient, head: int) -> None:
    while head and (not peer.seqs() or peer.seqs()[-1] < head):
        await peer.next()
