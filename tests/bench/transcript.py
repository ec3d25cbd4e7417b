"""What everybody must have received: one stream of bytes, the same for all.

A server that encodes once sends every member of a room the same bytes. So the driver need not decode a
thousand streams to check each delivery: the member furthest ahead extends the transcript, the other members'
bytes are compared with it, and the transcript is decoded, once, frame by frame. That is as strict as decoding
all of them: a message lost, doubled, changed or out of order at any one member is a difference, and one
that is wrong at all of them is found by the decoding. And it costs a comparison of memory, which a driver
in Python can afford at millions of deliveries a second.

Senders receive acks too, which are theirs alone; `Acks` takes them out of the stream first.
"""

from __future__ import annotations

from bisect import bisect_right

from msgspec import DecodeError, Struct, json

from tests.bench.dialect import ref_of, split
from tests.bench.errors import BenchError

__all__ = ["Acks", "Company", "Standing", "Transcript", "number_of", "ref_for"]

_ACK = b'{"type":"ack"'
_PRESENCE = b'{"type":"presence"'


def ref_for(sender: int, number: int) -> str:
    return f"{sender:02x}{number:06x}"


def number_of(ref: str) -> tuple[int, int]:
    """Which sender, and its which of its messages."""
    return divmod(int(ref, 16), 1 << 24)


class _Shown(Struct):
    """A message as any of the servers shows it; the references number nothing."""

    type: str
    text: str = ""
    seq: int = 0


class _Acked(Struct):
    ref: str
    seq: int


_decode_shown = json.Decoder(_Shown).decode


class _Presence(Struct):
    members: int


_decode_presence = json.Decoder(_Presence).decode
_decode_acked = json.Decoder(_Acked).decode


class Transcript:
    """The stream since a moment at which everybody had read everything.

    `next_numbers` are those that each sender will use next. `ends[i]` is where the i-th message ends,
    `refs[i]` its ref, `seqs[i]` the number the server gave it.
    """

    def __init__(self, next_numbers: list[int]) -> None:
        self.ends: list[int] = []
        self.refs: list[str] = []
        self.seqs: list[int] = []
        self._next = list(next_numbers)
        self._bytes = bytearray()
        self._decoded = 0

    def __len__(self) -> int:
        return len(self._bytes)

    def take(self, at: int, data: bytes) -> int:
        """Check `data`, received after the first `at` bytes; return how many bytes that member has now.

        Raises `BenchError` when it is not what everybody else received, or not what was said.
        """
        end = at + len(data)
        known = len(self._bytes)
        if self._bytes[at:end] != data[: known - at]:
            raise BenchError(_difference(at, bytes(self._bytes[at:end]), data))
        if end > known:
            self._bytes += data[known - at :]
            self._decode()
        return end

    def messages_through(self, at: int) -> int:
        """How many messages are whole in the first `at` bytes."""
        return bisect_right(self.ends, at)

    def _decode(self) -> None:
        stream = self._bytes
        start = self._decoded
        while len(stream) - start >= 4:
            end = start + 4 + int.from_bytes(stream[start : start + 4], "big")
            if end > len(stream):
                break
            self._message(bytes(stream[start + 4 : end]), end)
            start = end
        self._decoded = start

    def _message(self, payload: bytes, end: int) -> None:
        try:
            shown = _decode_shown(payload)
            if shown.type == "presence":  # the last of those who came, told late
                return
            ref = ref_of(shown.text)
            sender, number = number_of(ref)
        except (DecodeError, ValueError) as error:
            raise BenchError(f"received a message without a sender: {payload[:200]!r}") from error
        if number != self._next[sender]:
            raise BenchError(f"sender {sender}: message {number} came, {self._next[sender]} was next")
        self._next[sender] += 1
        if shown.seq and self.seqs and shown.seq != self.seqs[-1] + 1:
            raise BenchError(f"number {shown.seq} came after {self.seqs[-1]}")
        self.ends.append(end)
        self.refs.append(ref)
        self.seqs.append(shown.seq)


def _difference(at: int, known: bytes, data: bytes) -> str:
    place = next(index for index, (a, b) in enumerate(zip(known, data, strict=False)) if a != b)
    shown = slice(max(0, place - 80), place + 120)
    return f"two members received different bytes, {at + place} on: {known[shown]!r} and {data[shown]!r}"


class Acks:
    """One sender's stream: takes the acks out, and keeps what they said."""

    def __init__(self) -> None:
        self.seqs: dict[str, int] = {}
        self._rest = b""

    def sift(self, data: bytes) -> bytes:
        """What everybody received, of what this one did. Whole frames only; the rest waits for more."""
        others: list[bytes] = []
        frames, self._rest = split(self._rest + data)
        for each in frames:
            if each.startswith(_ACK, 4):
                acked = _decode_acked(each[4:])
                if acked.ref in self.seqs:
                    raise BenchError(f"{acked.ref} was acked twice")
                self.seqs[acked.ref] = acked.seq
            else:
                others.append(each)
        return b"".join(others)

    def check(self, transcript: Transcript, sender: int) -> None:
        """Every message of this sender was acked, with the number under which it was shown."""
        shown = {
            ref: seq
            for ref, seq in zip(transcript.refs, transcript.seqs, strict=True)
            if number_of(ref)[0] == sender
        }
        if shown != self.seqs:
            wrong = dict(sorted(shown.items() ^ self.seqs.items())[:4])
            raise BenchError(f"sender {sender}: acks and messages differ, such as {wrong}")


class Company:
    """How many members the room has, as one of them was told last; 0 when it was not, since `forget`."""

    def __init__(self) -> None:
        self.members = 0
        self._rest = b""

    def hear(self, data: bytes) -> None:
        frames, self._rest = split(self._rest + data)
        for each in frames:
            if each.startswith(_PRESENCE, 4):
                self.members = _decode_presence(each[4:]).members

    def forget(self) -> None:
        self.members = 0


class Standing:
    """How many members have received how many bytes: who is last, without asking everybody."""

    def __init__(self, members: int) -> None:
        self._at = {0: members} if members else {}

    def move(self, at: int, end: int) -> None:
        self.leave(at)
        self.enter(end)

    def enter(self, at: int) -> None:
        self._at[at] = self._at.get(at, 0) + 1

    def leave(self, at: int) -> None:
        left = self._at[at] - 1
        if left:
            self._at[at] = left
        else:
            del self._at[at]

    def lowest(self) -> int:
        """What all have received."""
        return min(self._at)
