"""A log that is torn, after a server was killed: what is left is the first part of what was acked, and who
comes back is told that it is another history, if it is.
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
# SQLite's write-ahead log: a header of 32 bytes, then frames of one page behind a header of 24 each. In that
# the second number is not 0 in the last frame of a commit.
LOG_HEADER, FRAME_HEADER, PAGE = 32, 24, 4_096
FRAME = FRAME_HEADER + PAGE
SIZES = (20, 4_000, 4_000, 20, 300)


@dataclass
class Left:
    """What a server left when it was killed; `acked` by number, in the room's `epoch`."""

    directory: Path
    files: dict[str, bytes]
    epoch: str
    token: str
    acked: dict[int, str]

    @property
    def log(self) -> bytes:
        return self.files[LOG]

    def put_back(self, log: bytes) -> None:
        """All as it was, but for the log. In place: another file would be a copy, whatever is in it."""
        for name in FILES:
            (self.directory / name).write_bytes(log if name == LOG else self.files[name])

    def commits(self) -> list[int]:
        """Where in the log each commit ends."""
        ends = range(LOG_HEADER + FRAME, len(self.log) + 1, FRAME)
        last_frames = [end for end in ends if int.from_bytes(self.log[end - FRAME + 4 : end - FRAME + 8])]
        return [LOG_HEADER, *last_frames]


async def left_by_a_kill(directory: Path) -> Left:
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


async def looked_into(directory: Path) -> tuple[str, dict[int, str]]:
    """The epoch of the lobby, and what is in it."""
    store = await open_sqlite(directory / JOURNAL)
    try:
        epoch = (await store.open("lobby", "lobby")).epoch
        page = await store.read("lobby", 0, 2**53, entries_max=10_000, bytes_max=1 << 30)
    finally:
        await store.aclose()
    entries = [decode_entry(payload) for payload in page.payloads]
    return epoch, {entry.seq: entry.text for entry in entries}


def first_part(acked: dict[int, str], kept: dict[int, str]) -> bool:
    """Whether it is the first of what was acked, without a hole."""
    return list(kept.items()) == list(acked.items())[: len(kept)]


def places(left: Left) -> Iterator[int]:
    """Before each commit and within it: in a header, in a page, and at its last byte."""
    yield from (0, LOG_HEADER - 1)
    for begin, end in pairwise(left.commits()):
        yield from (begin, begin + FRAME_HEADER // 2, begin + FRAME // 2, end - 1)
    yield len(left.log)


async def test_cut_anywhere_a_log_leaves_whole_commits_and_a_new_epoch_says_that_some_are_gone(
    tmp_path: Path,
) -> None:
    with trio.fail_after(PATIENCE_S):
        left = await left_by_a_kill(tmp_path)
        found: dict[int, bool] = {}  # by how many entries are left: whether the epoch is
        for at in places(left):
            left.put_back(left.log[:at])
            epoch, kept = await looked_into(tmp_path)
            assert first_part(left.acked, kept), f"cut at {at}"
            whole = sum(end <= at for end in left.commits()) - 1
            assert len(kept) == min(max(whole, 0), len(left.acked)), f"cut at {at}: what is whole is there"
            assert (epoch == left.epoch) == (len(kept) == len(left.acked)), f"cut at {at}"
            found[len(kept)] = epoch == left.epoch
    lost = dict.fromkeys(range(len(left.acked)), False)
    assert found == lost | {len(left.acked): True}, "each number of entries was left by some cut"


async def test_a_log_with_a_wrong_byte_is_one_that_ends_before_it(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_S):
        left = await left_by_a_kill(tmp_path)
        for at in [place for place in places(left) if place < len(left.log)]:
            log = bytearray(left.log)
            log[at] ^= 0x10
            left.put_back(bytes(log))
            epoch, kept = await looked_into(tmp_path)
            assert first_part(left.acked, kept), f"wrong at {at}"
            assert (epoch == left.epoch) == (len(kept) == len(left.acked)), f"wrong at {at}"
            whole = sum(end <= at for end in left.commits()) - 1
            assert len(kept) >= max(whole, 0), f"wrong at {at}: what is before it is there"


@pytest.mark.parametrize("where", ["nothing is left", "within a commit", "between commits", "all is there"])
async def test_who_comes_back_to_a_torn_log_is_shown_its_true_history(tmp_path: Path, where: str) -> None:
    left = await left_by_a_kill(tmp_path)
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
        # What is gone is said again, and what is there is not there twice.
        numbers = [await says(ada, text, f"r{number}") for number, text in enumerate(left.acked.values())]
        assert numbers == list(left.acked)
        assert await says(ada, "and on", "new") == len(left.acked) + 1
        await server.kill()
    async with served(tmp_path) as server:
        bob = server.dial()
        await bob.hello("bob")
        assert (await bob.join("lobby", after=1, epoch=room.epoch)).resumed, "and that epoch stays"


async def _sees(peer: RawClient, head: int) -> None:
    while head and (not peer.seqs() or peer.seqs()[-1] < head):
        await peer.next()
