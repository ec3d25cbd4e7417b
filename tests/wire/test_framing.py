"""Frames: any split of a stream gives the same payloads, and what will be refused costs nothing."""

import tracemalloc
from collections.abc import Iterator
from typing import Self

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_chat.errors import FrameError
from trio_chat.wire import framing
from trio_chat.wire.framing import FRAME_BYTES_MAX, FrameReader, frame_end, pack

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def split(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The pieces of `data` cut at these places, empty ones among them."""
    start = 0
    for place in [*sorted(place % (len(data) + 1) for place in places), len(data)]:
        yield data[start:place]
        start = place


def read(pieces: Iterator[bytes] | list[bytes], limit: int = FRAME_BYTES_MAX) -> tuple[list[bytes], str]:
    """What a stream holds: the payloads, and the code of what broke it, if anything did."""
    reader, payloads = FrameReader(limit), []
    try:
        for piece in pieces:
            for payload in reader.feed(piece):
                payloads.append(payload)  # noqa: PERF402 - those before a broken frame count
    except FrameError as error:
        return payloads, error.code
    return payloads, ""


@given(PAYLOADS, st.lists(st.integers(min_value=0)))
def test_any_split_gives_the_same_payloads(payloads: list[bytes], places: list[int]) -> None:
    assert read(split(pack(payloads), places)) == (payloads, "")


@given(PAYLOADS)
def test_a_byte_at_a_time_gives_the_same_payloads(payloads: list[bytes]) -> None:
    assert read([bytes([byte]) for byte in pack(payloads)]) == (payloads, "")


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0)), st.integers(1, 300))
@example(b"\x00\x00\x00\x01a\x00\x00\x00\x00", [], 300)
def test_garbage_gives_payloads_or_the_one_error_wherever_it_is_split(
    data: bytes, places: list[int], limit: int
) -> None:
    whole = read([data], limit)
    assert read(split(data, places), limit) == whole
    payloads, code = whole
    assert code in ("", "bad_frame", "frame_too_large")
    assert all(1 <= len(payload) <= limit for payload in payloads)
    assert data.startswith(pack(payloads))


def test_a_thousand_frames_in_one_piece() -> None:
    payloads = [b"%d" % number for number in range(1_000)]
    assert read([pack(payloads)]) == (payloads, "")


def test_payloads_come_as_they_are_asked_for() -> None:
    """So that a server may stop, or change its limit, between two frames of one piece."""
    reader = FrameReader(4)
    coming = reader.feed(pack([b"four", b"fives"]))
    assert next(coming) == b"four"
    reader.limit = 5
    assert next(coming) == b"fives"


@pytest.mark.parametrize("limit", [1, 8_192, FRAME_BYTES_MAX])
def test_the_limit_works_and_one_more_does_not(limit: int) -> None:
    assert read([pack([b"x" * limit])], limit) == ([b"x" * limit], "")
    assert read([pack([b"x" * (limit + 1)])], limit) == ([], "frame_too_large")


@pytest.mark.parametrize(
    ("header", "code", "detail"),
    [
        (b"\x00\x00\x00\x00", "bad_frame", "invalid frame: length 0"),
        (b"\x00\x01\x00\x01", "frame_too_large", "frame too large: got 65537 bytes, the limit is 65536"),
        (b"\xff\xff\xff\xff", "frame_too_large", "frame too large: got 4294967295 bytes, the limit is 65536"),
        (b"SSH-", "frame_too_large", "frame too large: got 1397966893 bytes, the limit is 65536"),
    ],
)
def test_a_broken_length_is_known_from_its_four_bytes(header: bytes, code: str, detail: str) -> None:
    reader = FrameReader()
    for byte in header[:3]:
        assert list(reader.feed(bytes([byte]))) == []
    with pytest.raises(FrameError) as caught:
        list(reader.feed(header[3:]))
    assert (caught.value.code, caught.value.detail) == (code, detail)


def test_what_came_before_a_broken_frame_counts() -> None:
    assert read([pack([b"a", b"b"]) + b"\x00\x00\x00\x00" + pack([b"c"])]) == ([b"a", b"b"], "bad_frame")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"\xff\xff\xff\xff" + b"x" * 100], id="refused"),
        pytest.param([b"\xff", b"\xff", b"\xff", b"\xff"], id="refused byte by byte"),
        pytest.param([b"\x00\x01\x00\x00", b"x"], id="taken, and hardly begun"),
    ],
)
def test_nothing_is_allocated_for_a_length(pieces: list[bytes]) -> None:
    """What a peer announces costs nothing; what it has sent is all that is kept."""
    read(pieces)
    tracemalloc.start()
    try:
        read(pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_192


class Counted(bytearray):
    """A buffer that counts the bytes that are put into it and taken out of it."""

    moved = 0

    def __init__(self, data: bytes = b"") -> None:
        Counted.moved += len(data)
        super().__init__(data)

    def __iadd__(self, data: bytes) -> Self:  # type: ignore[override, misc]  # of ours, bytes only
        Counted.moved += len(data)
        return super().__iadd__(data)

    def __bytes__(self) -> bytes:
        Counted.moved += len(self)
        return bytes(memoryview(self))


def test_a_frame_fed_byte_by_byte_is_moved_a_few_times_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for every byte that comes, which would be some two thousand million."""
    monkeypatch.setattr(framing, "bytearray", Counted, raising=False)
    monkeypatch.setattr(Counted, "moved", 0)
    payload = b"x" * FRAME_BYTES_MAX
    assert read([bytes([byte]) for byte in pack([payload])]) == ([payload], "")
    assert len(payload) <= Counted.moved <= 3 * len(payload)


def test_a_reader_knows_whether_a_frame_has_begun() -> None:
    reader = FrameReader()
    assert not reader.inside_frame
    for piece, inside in [(b"", False), (b"\x00\x00", True), (b"\x00\x02a", True), (b"b", False)]:
        list(reader.feed(piece))
        assert reader.inside_frame is inside
    list(reader.feed(pack([b"a"]) + b"\x00"))
    assert reader.inside_frame


def test_a_frame_is_a_length_and_a_payload() -> None:
    assert pack([b"{}", b"x" * 258]) == b"\x00\x00\x00\x02{}" + b"\x00\x00\x01\x02" + b"x" * 258
    assert pack([]) == b""


def test_packed_batches_may_be_joined() -> None:
    assert pack([b"a"]) + pack([b"b", b"c"]) == pack([b"a", b"b", b"c"])


@given(PAYLOADS.filter(bool), st.integers(min_value=0))
def test_frame_end_leaves_nothing_half(payloads: list[bytes], sent: int) -> None:
    frames = pack(payloads)
    sent %= len(frames) + 1
    end = frame_end(frames, sent)
    ends = [len(pack(payloads[:count])) for count in range(len(payloads) + 1)]
    assert end == min(each for each in ends if each >= sent)
