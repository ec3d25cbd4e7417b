"""Hash a run: the order of its task steps, its times and its notes.

Two runs with the same hash did the same. A step costs 0.1 µs here, a pass 0.2, a note 0.6: the input of the
hash is buffered, and hashed in large pieces.
"""

from array import array
from collections import deque
from copy import deepcopy
from hashlib import blake2b
from typing import Any, NamedTuple

__all__ = ["NOTES_MAX", "Note", "Trace"]

NOTES_MAX = 10_000
"""How many of the last notes are kept; all of them are in the hash."""

PIECE = 10_000
# Between the numbers of tasks, from 0 up.
_PASS, _JUMP, _NOTE = -1, -2, -3
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})


class Note(NamedTuple):
    """A note of a scenario, and its time."""

    time: float
    """Virtual seconds."""
    what: tuple[Any, ...]


class Trace:
    """The recorder of one run."""

    def __init__(self) -> None:
        self.now = 0.0
        self._last: deque[tuple[float, tuple[Any, ...]]] = deque(maxlen=NOTES_MAX)
        self._log: list[int] = []
        self._noted: list[tuple[float, tuple[Any, ...]]] = []  # what each _NOTE in the log says
        self._hash = blake2b(digest_size=16)

    def keep_all(self) -> None:
        """Keep all notes from now on."""
        self._last = deque(self._last)

    def passed(self, numbers: list[int]) -> None:
        """Record one pass, which steps the tasks with these numbers."""
        log = self._log
        log += numbers
        log.append(_PASS)
        if len(log) > PIECE:
            self._flush()

    def jumped(self, now: float) -> None:
        """Record that virtual time is now `now`."""
        self.now = now
        self._log.append(_JUMP)
        self._noted.append((now, ()))

    def noted(self, what: tuple[Any, ...]) -> None:
        """Record a note. Raises TypeError unless it is of plain values, and tuples and lists of them."""
        for each in what:
            if type(each) not in _PLAIN:
                if not _is_plain(each):
                    raise TypeError(
                        f"invalid note: got {what!r}, expected plain values (str, bytes, numbers, None)"
                    )
                what = deepcopy(what)  # a list may be changed before it is hashed
        note = self.now, what
        self._last.append(note)
        self._noted.append(note)
        self._log.append(_NOTE)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes that are kept: the last ones, or all."""
        return tuple(Note(*note) for note in self._last)

    def digest(self) -> str:
        """Return the hash of everything recorded so far, in hex."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        if not self._log:  # asked for twice, the hash is the same
            return
        self._hash.update(array("q", self._log).tobytes())
        self._hash.update(repr(self._noted).encode())
        self._log.clear()
        self._noted.clear()


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return type(value) in _PLAIN
