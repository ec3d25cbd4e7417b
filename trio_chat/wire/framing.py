"""Frames: a 4-byte unsigned big-endian length, then that many bytes. Sans-IO.

A length is checked as soon as its four bytes have arrived, before any memory is used for its frame. The bytes
of a partial frame are stored and not parsed again: the reader only compares their number with the frame's
length.
"""

from collections.abc import Iterator, Sequence
from struct import Struct

from trio_chat.errors import FrameError

__all__ = ["FRAME_BYTES_MAX", "HELLO_BYTES_MAX", "FrameReader", "frame_end", "pack"]

FRAME_BYTES_MAX = 65_536
HELLO_BYTES_MAX = 8_192  # before the server has sent `welcome`

_header = Struct(">I")
_pack_header = _header.pack
_unpack_header = _header.unpack_from

HEADERS = 1_024  # precomputed: a lookup is cheaper, and nearly all messages are shorter than this
_HEADERS = [_pack_header(size) for size in range(HEADERS)]


class FrameReader:
    """Split a stream of bytes into the payloads of frames.

    `limit` is the largest accepted payload in bytes. It may be changed at any time and applies from the next
    header on.
    """

    __slots__ = ("_due", "_held", "limit")

    def __init__(self, limit: int = FRAME_BYTES_MAX) -> None:
        self.limit = limit
        self._held: bytearray | None = None
        self._due = 0

    @property
    def inside_frame(self) -> bool:
        """Return whether a frame has begun and is incomplete."""
        return self._held is not None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the payloads that `data` completes, in order. Each header is checked when its payload is
        requested.

        Consume the iterator before the next call. Raises `FrameError` for an invalid frame, after the
        payloads before it; the reader cannot be used afterwards.
        """
        held = self._held
        if held is not None:
            held += data
            if len(held) < self._due:
                return
            data = bytes(held)
            self._held = None
        at, end = 0, len(data)
        while (start := at + 4) <= end:
            (size,) = _unpack_header(data, at)
            if not 0 < size <= self.limit:
                raise self._broken(size)
            stop = start + size
            if stop > end:
                self._hold(data[at:], 4 + size)
                return
            yield data[start:stop]
            at = stop
        if at < end:
            self._hold(data[at:], 4)

    def _hold(self, rest: bytes, due: int) -> None:
        self._held = bytearray(rest)
        self._due = due

    def _broken(self, size: int) -> FrameError:
        if size == 0:
            return FrameError("bad_frame", "invalid frame: length 0")
        return FrameError("frame_too_large", f"frame too large: got {size} bytes, the limit is {self.limit}")


def pack(payloads: Sequence[bytes]) -> bytes:
    """Return these payloads as frames, joined."""
    parts = [b""] * (2 * len(payloads))
    parts[0::2] = [_HEADERS[size] if size < HEADERS else _pack_header(size) for size in map(len, payloads)]
    parts[1::2] = payloads
    return b"".join(parts)


def frame_end(frames: bytes, sent: int) -> int:
    """Return the end of the frame that contains byte `sent` of `frames`: the rest of it must still be sent.

    Return `sent` itself if it is between two frames.
    """
    at = 0
    while at < sent:
        (size,) = _unpack_header(frames, at)
        at += 4 + size
    return at
