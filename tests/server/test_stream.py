"""Tails: the newest batches of each room, shared by all sessions, within the bounds of bytes."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from tests.server.outbound_harness import OutboundHarness, Receiver, outbound_harness
from trio_chat.dialects.frames import FRAMES, FrameEvents
from trio_chat.journal.store import RoomRecord
from trio_chat.server.stream import MERGED_BYTES, Batch, RecentCache, RoomStream
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import pack
from trio_chat.wire.messages import Gap, Said


class OtherPacking:
    """A second dialect: the payloads as lines."""

    def pack(self, payloads: list[bytes]) -> bytes:
        return b"\n".join(payloads)


def said(seq: int) -> bytes:
    return encode(Said("Lobby", seq, 0, "ada", f"text {seq}"))


def stream(key: str = "lobby", *, head: int = 0, tails: RecentCache | None = None) -> RoomStream:
    record = RoomRecord(key.title(), "e", first=1, head=head, topic="")
    return RoomStream(key, record, tails or RecentCache(tail_bytes=1 << 20, tails_bytes=1 << 20))


# --- batches ----------------------------------------------------------------------------------------


def test_a_batch_is_packed_once_for_all_sessions() -> None:
    batch = Batch(5, [said(5), said(6)])
    packed = batch.packed(FRAMES)
    assert packed == pack([said(5), said(6)])
    assert batch.packed(FRAMES) is packed
    assert batch.packed(FRAMES, 4) is packed, "the cursor before it means the whole batch"
    assert (batch.first, batch.last, batch.bytes) == (5, 6, len(said(5)) + len(said(6)))


def test_a_batch_is_packed_for_each_dialect() -> None:
    batch = Batch(5, [said(5), said(6)])
    lines = OtherPacking()
    assert batch.packed(lines) == said(5) + b"\n" + said(6)  # type: ignore[arg-type]  # half of a packing is enough
    assert batch.packed(FRAMES) == pack([said(5), said(6)])


def test_a_part_of_a_batch_can_be_packed() -> None:
    batch = Batch(5, [said(5), said(6), said(7)])
    assert batch.packed(FRAMES, 5) == pack([said(6), said(7)])
    assert batch.packed(FRAMES, 6) == pack([said(7)])


# --- streams ----------------------------------------------------------------------------------------


def test_a_stream_starts_with_the_record_of_the_journal() -> None:
    room = RoomStream(
        "lobby", RoomRecord("LOBBY", "e", 3, 9, "hello"), RecentCache(tail_bytes=1, tails_bytes=1)
    )
    assert (room.key, room.shown, room.epoch, room.head, room.topic) == ("lobby", "LOBBY", "e", 9, "hello")
    assert room.after(8) is None


def test_the_batch_after_a_number_is_found() -> None:
    room = stream(head=10)
    one = room.append(11, [said(11)])
    three = room.append(12, [said(12), said(13), said(14)])
    assert room.head == 14
    assert room.after(9) is None
    assert room.after(10) is one
    assert [room.after(cursor) for cursor in (11, 12, 13)] == [three, three, three]


def test_a_hole_in_the_numbers_is_a_bug() -> None:
    room = stream(head=10)
    for first in (10, 12):
        try:
            room.append(first, [said(first)])
        except AssertionError:
            assert room.head == 10 and not room.tail
        else:
            raise AssertionError("taken")


def test_small_batches_are_merged_for_sessions_that_are_behind() -> None:
    room = stream()
    for seq in range(1, 7):
        room.append(seq, [said(seq)])
    newest = room.tail[-1]
    joined = room.after(2)
    assert joined is not None and (joined.first, joined.last) == (3, 5), "the newest may be in its fan-out"
    assert joined.payloads == [said(3), said(4), said(5)]
    assert room.after(2) is joined and room.after(3) is joined, "merged only once"
    assert room.after(5) is newest
    assert [(batch.first, batch.last) for batch in room.tail] == [(1, 1), (2, 2), (3, 5), (6, 6)]
    assert room.bytes == sum(len(said(seq)) for seq in range(1, 7))


def test_batches_are_merged_up_to_a_bound() -> None:
    room = stream()
    half = b"x" * (MERGED_BYTES // 2)
    for seq in range(1, 8):
        room.append(seq, [half])
    found = [room.after(cursor) for cursor in (0, 2, 4, 6)]
    assert [(batch.first, batch.last) for batch in found if batch] == [(1, 2), (3, 4), (5, 6), (7, 7)]


@given(
    st.lists(st.lists(st.sampled_from([1, 9, 20_000, 70_000]), min_size=1, max_size=3), min_size=1),
    st.lists(st.integers(0, 30)),
)
def test_a_tail_returns_every_entry_merged_or_not(sizes: list[list[int]], cursors: list[int]) -> None:
    room = stream(tails=RecentCache(tail_bytes=400_000, tails_bytes=1 << 20))
    for each in sizes:
        room.append(
            room.head + 1, [b"%07d" % (room.head + 1 + at) + b"x" * size for at, size in enumerate(each)]
        )
        newest = room.tail[-1]
        kept = [payload for batch in room.tail for payload in batch.payloads]
        oldest = room.tail[0].first
        for cursor in {*cursors} & {*range(room.head)}:
            found = room.after(cursor)
            assert (found is None) == (cursor + 1 < oldest)
            assert found is None or found.first <= cursor + 1 <= found.last
        assert room.tail[-1] is newest, "live sessions are being sent it"
        assert [payload for batch in room.tail for payload in batch.payloads] == kept
        assert [batch.first for batch in room.tail] == [int(batch.payloads[0][:7]) for batch in room.tail]


async def test_entries_removed_before_they_were_published_are_a_gap_for_all() -> None:
    async with outbound_harness() as harness:
        await harness.say("a", "b")
        live, slow = Receiver(harness), Receiver(harness, capacity=0)
        for reader in (live, slow):
            reader.join("lobby", recent=1)
        lobby = harness.rooms["lobby"]
        lobby.skip(7)
        assert (lobby.head, list(lobby.tail), lobby.bytes) == (6, [], 0)
        assert live.events == [Said("Lobby", 2, 0, "ada", "b"), Gap("Lobby", 2, 7, kept=False)]
        lobby.append(7, [said(7)])
        assert lobby.after(5) is None


async def test_a_gap_may_be_more_than_a_socket_takes() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=10)
        reader.join("lobby")
        harness.rooms["lobby"].skip(7)
        assert not reader.outbound.live
        assert reader.outbound.streams == {harness.rooms["lobby"]: 6}
        reader.link.allow()
        reader.outbound.flush()
        await reader.outbound.wait_sent()
        assert reader.texts() == ["0..7"]
        assert reader.outbound.live


async def test_the_cursor_of_a_live_session() -> None:
    """It is the head, or the number before a batch that the session has not got yet."""
    async with outbound_harness() as harness:
        lobby = harness.rooms["lobby"]
        one, other = Receiver(harness), Receiver(harness)
        one.join("lobby")
        other.join("lobby")
        lobby.append(1, [said(1), said(2)])
        lobby.unsent = {other.outbound: None}
        assert (lobby.cursor(one.outbound), lobby.cursor(other.outbound)) == (2, 0)
        lobby.remove(other.outbound)
        assert (list(lobby.live), lobby.unsent) == ([one.outbound], {})
        lobby.remove(other.outbound)


# --- bounds -----------------------------------------------------------------------------------------

SIZE = len(said(1))


def test_a_tail_keeps_its_newest_batches() -> None:
    room = stream(tails=RecentCache(tail_bytes=3 * SIZE, tails_bytes=100 * SIZE))
    for seq in range(1, 6):
        room.append(seq, [said(seq)])
    assert [batch.first for batch in room.tail] == [3, 4, 5]
    assert room.bytes == 3 * SIZE


def test_the_newest_batch_is_kept_whatever_its_size() -> None:
    tails = RecentCache(tail_bytes=1, tails_bytes=1)
    room, other = stream(tails=tails), stream("attic", tails=tails)
    room.append(1, [said(1), said(2)])
    assert len(room.tail) == 1
    other.append(1, [said(1)])
    assert (len(room.tail), len(other.tail)) == (0, 1)
    room.append(3, [said(3)])
    assert (len(room.tail), len(other.tail)) == (1, 0)


def test_the_quietest_tails_are_evicted_first() -> None:
    tails = RecentCache(tail_bytes=10 * SIZE, tails_bytes=4 * SIZE)
    lobby, attic, porch = (stream(name, tails=tails) for name in ("lobby", "attic", "porch"))
    for seq in (1, 2):
        lobby.append(seq, [said(seq)])
    attic.append(1, [said(1)])
    lobby.append(3, [said(3)])
    porch.append(1, [said(1)])
    assert [len(each.tail) for each in (lobby, attic, porch)] == [3, 0, 1]
    porch.append(2, [said(2)])
    assert [len(each.tail) for each in (lobby, attic, porch)] == [2, 0, 2]


def test_closing_a_room_frees_its_bytes() -> None:
    tails = RecentCache(tail_bytes=10 * SIZE, tails_bytes=2 * SIZE)
    for _ in range(100):
        room = stream(tails=tails)
        room.append(1, [said(1)])
        tails.drop(room)
    lobby, attic = stream(tails=tails), stream("attic", tails=tails)
    lobby.append(1, [said(1)])
    attic.append(1, [said(1)])
    assert (len(lobby.tail), len(attic.tail)) == (1, 1)
    tails.drop(stream("never spoke", tails=tails))


@dataclass
class TailModel:
    """A model of one tail: the first numbers and sizes of its batches."""

    stream: RoomStream
    batches: list[tuple[int, int]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.batches)


_room = st.integers(0, 2)


@given(st.lists(st.tuples(_room, st.lists(st.integers(1, 60), min_size=1, max_size=3), st.booleans())))
def test_tails_are_evicted_like_plain_lists(steps: list[tuple[int, list[int], bool]]) -> None:
    tails = RecentCache(tail_bytes=100, tails_bytes=200)
    shelves = [TailModel(stream(f"r{number}", tails=tails)) for number in range(3)]
    order: list[TailModel] = []  # the quietest first
    for number, sizes, closes in steps:
        model = shelves[number]
        first = model.stream.head + 1
        batch = model.stream.append(first, [b"x" * size for size in sizes])
        assert model.stream.tail[-1] is batch, "live sessions are being sent it"
        model.batches.append((first, sum(sizes)))
        order = [*(each for each in order if each is not model), model]
        while model.bytes > 100 and len(model.batches) > 1:
            del model.batches[0]
        while sum(each.bytes for each in order) > 200 and len(model.batches) + len(order) > 2:
            del order[0].batches[0]
            order = [each for each in order if each.batches]
        if closes:
            tails.drop(model.stream)
            model.batches.clear()
            order = [each for each in order if each is not model]
        for each in shelves:
            assert [(kept.first, kept.bytes) for kept in each.stream.tail] == each.batches
            assert each.stream.bytes == each.bytes


async def test_the_outbound_harness_commits_publishes_and_receives() -> None:
    """The receiver decodes what the link took."""
    async with outbound_harness() as harness:
        assert isinstance(harness, OutboundHarness)
        reader = Receiver(harness)
        start = reader.join("lobby")
        await harness.say("a", "b")
        assert reader.texts() == ["a", "b"]
        reader.check_room("lobby", start, 2)
        assert FrameEvents().feed(bytes(reader.link.taken)) == reader.events
