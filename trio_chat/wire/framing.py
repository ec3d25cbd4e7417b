"""Frames: a 4-byte unsigned big-endian length, then that many bytes.

Sans-IO. Feed what came, take the payloads that are whole. A length is judged as soon as its four
bytes are there and before anything is kept for it; a partial frame is kept as it came and never
scanned again: all that is asked of it is whether it is long enough by now.
"""

from collections.abc import Iterator, Sequence
from struct import Struct

from trio_chat.errors import FrameError

__all__ = ["FRAME_BYTES_MAX", "HELLO_BYTES_MAX", "FrameReader", "frame_end", "pack"]

FRAME_BYTES_MAX = 65_536
HELLO_BYTES_MAX = 8_192  # before the server has said `welcome`

_header = Struct(">I")
_pack_header = _header.pack
_unpack_header = _header.unpack_from

HEADERS = 1_024  # made beforehand, those of nearly all messages: looking them up is cheaper
_HEADERS = [_pack_header(size) for size in range(HEADERS)]


class FrameReader:
    """Splits a stream of bytes into the payloads of frames.

    `limit` is the largest payload taken, in bytes; it may be changed at any time and counts from the
    next frame that is judged.
    """

    __slots__ = ("_due", "_held", "limit")

    def __init__(self, limit: int = FRAME_BYTES_MAX) -> None:
        self.limit = limit
        self._held: bytearray | None = None
        self._due = 0

    @property
    def inside_frame(self) -> bool:
        """Whether a frame has begun and is not whole yet."""
        return self._held is not None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that `data` makes whole, in order, each judged as it is asked for.

        Take them all before feeding more. Raises `FrameError` where the stream is broken, after the
        payloads before that place; a reader that has raised is of no more use.
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
            return FrameError("bad_frame", "a frame of length 0")
        return FrameError("frame_too_large", f"a frame of {size} bytes, over the limit of {self.limit}")


def pack(payloads: Sequence[bytes]) -> bytes:
    """The frames that hold these payloads, one after the other."""
    parts = [b""] * (2 * len(payloads))
    parts[0::2] = [_HEADERS[size] if size < HEADERS else _pack_header(size) for size in map(len, payloads)]
    parts[1::2] = payloads
    return b"".join(parts)


def frame_end(frames: bytes, sent: int) -> int:
    """Where the frame ends that is half out when the first `sent` bytes of whole frames have been sent.

    `sent` itself when it falls between two frames.
    """
    at = 0
    while at < sent:
        (size,) = _unpack_header(frames, at)
        at += 4 + size
    return at
