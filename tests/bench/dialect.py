"""The bytes of the two kinds of server: ours, and the references, which know no names and no acks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OURS", "PLAIN", "ROOM", "TEXT_BYTES", "Dialect", "frame", "make_text", "ref_of", "say", "split"]

ROOM = "room"
TEXT_BYTES = 100
_FILL = "the quick brown fox jumps over the lazy dog "
_HEAD = 10  # of a text: the ref between two tildes


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


@dataclass(frozen=True)
class Dialect:
    """How to become a member: what to send, step by step, and what the answer to each contains."""

    steps: tuple[tuple[str, bytes], ...]
    acks: bool
    presence: bool  # members are told who comes
    ping: bytes = b""  # who must not be silent for long


OURS = Dialect(
    (
        ('{"type":"hello","version":1,"name":"NAME"}', b'"welcome"'),
        ('{"type":"join","room":"' + ROOM + '"}', b'"head"'),
    ),
    acks=True,
    presence=True,
    ping=frame(b'{"type":"ping"}'),
)
PLAIN = Dialect(
    (('{"type":"join","room":"' + ROOM + '","name":"NAME"}', b'"joined"'),), acks=False, presence=False
)


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole frames in `data`, each with its length before it, and what is left."""
    frames = []
    start = 0
    while len(data) - start >= 4:
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            break
        frames.append(data[start:end])
        start = end
    return frames, data[start:]


def make_text(ref: str, size: int = TEXT_BYTES) -> str:
    """A text of `size` bytes that tells whose it is, and whether all of it is there."""
    return f"~{ref}~{(_FILL * (size // len(_FILL) + 1))[_HEAD:size]}"


def ref_of(text: str) -> str:
    """The ref inside a text made by `make_text`. Raises `ValueError` for any other."""
    ref = text[1 : _HEAD - 1]
    if text != make_text(ref, len(text)):
        raise ValueError(f"not a text of ours: {text[:40]!r}")
    return ref


def say(ref: str, size: int = TEXT_BYTES) -> bytes:
    """The frame that says a text with that ref; the same for both kinds of server."""
    return frame(
        f'{{"type":"say","room":"{ROOM}","text":"{make_text(ref, size)}","ref":"{ref}"}}'.encode("ascii")
    )
