"""What was found: breaches of the contract, each in a sentence, and how many of each kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BREACHES_KEPT", "WORDS_CHARACTERS_MAX", "Breach", "BreachKind", "Findings", "numbers"]

BREACHES_KEPT = 1_000  # in words; all are counted
WORDS_CHARACTERS_MAX = 1_000  # of each; a name from a server may be as long as a frame


class BreachKind(StrEnum):
    """What can be wrong with a delivery."""

    LOST = "lost"
    DOUBLED = "doubled"
    REORDERED = "reordered"
    PHANTOM = "phantom"
    """Never said, or with another text, author, room, time or number."""
    LATE = "late"
    """Shown to somebody who had left."""
    UNSHOWN = "unshown"
    """Acked and never shown."""
    ACK = "ack"
    """Acked with another number than it has, or never, though nobody hung up; refused, and shown."""
    RESUME = "resume"
    """A cursor that should have been good and was not taken."""
    ENDED = "ended"
    """A connection that ended although nobody had asked for it."""
    PRESENCE = "presence"
    """A coming or going that was not told, or not so, or told that was not; a wrong count."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken promise: to whom (or, of an ack, to which author), in which room, in words."""

    kind: BreachKind
    room: str
    user: str
    words: str


class Findings:
    """The breaches, the first thousand in words. `counts` counts entries or notices, not sentences."""

    def __init__(self) -> None:
        self.breaches: list[Breach] = []
        self.counts: dict[BreachKind, int] = {}
        self.tell: Callable[[Breach], None] | None = None
        """Told of each that is kept, as it is found."""

    def add(self, kind: BreachKind, room: str, user: str, words: str, times: int = 1) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + times
        if len(self.breaches) < BREACHES_KEPT:
            # They quote a server that may lie: what does not print is no part of a sentence.
            if len(words) > WORDS_CHARACTERS_MAX:
                words = words[: WORDS_CHARACTERS_MAX - 1] + "…"
            shown = "".join(char if char.isprintable() else "?" for char in words)
            self.breaches.append(Breach(kind, room, user, shown))
            if self.tell is not None:
                self.tell(self.breaches[-1])

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def numbers(seqs: Sequence[int]) -> str:
    """Ascending numbers as people write them: `17–19, 23`."""
    runs: list[tuple[int, int]] = []
    for seq in seqs:
        if runs and seq == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in runs[:10]]
    return ", ".join(shown) + (f" and {len(runs) - 10} runs more" if len(runs) > 10 else "")
