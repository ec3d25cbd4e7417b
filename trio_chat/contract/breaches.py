"""Findings: breaches of the contract, each as a sentence, and the number of each kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BREACHES_KEPT", "WORDS_CHARACTERS_MAX", "Breach", "BreachKind", "Findings", "numbers"]

BREACHES_KEPT = 1_000  # as sentences; all are counted
WORDS_CHARACTERS_MAX = 1_000  # of each; a name from a server may be as long as a frame


class BreachKind(StrEnum):
    """The kinds of breaches."""

    LOST = "lost"
    DOUBLED = "doubled"
    REORDERED = "reordered"
    PHANTOM = "phantom"
    """An entry that was never sent, or has another text, author, room, time or number."""
    LATE = "late"
    """An entry shown to a user that had left."""
    UNSHOWN = "unshown"
    """A message that was acknowledged and never shown."""
    ACK = "ack"
    """A wrong number in an acknowledgement, no acknowledgement on a live connection, or a refused message
    that was shown."""
    RESUME = "resume"
    """A valid cursor that was not accepted, or an invalid one that was."""
    ENDED = "ended"
    """A connection that ended without a request to end it."""
    PRESENCE = "presence"
    """A missing, wrong or invented notice of an arrival or departure; a wrong count."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken promise: the kind, the room, the user (for an acknowledgement, the author), and a
    sentence."""

    kind: BreachKind
    room: str
    user: str
    words: str


class Findings:
    """Collect breaches; the first thousand are kept as sentences. `counts` counts entries or notices."""

    def __init__(self) -> None:
        self.breaches: list[Breach] = []
        self.counts: dict[BreachKind, int] = {}
        self.tell: Callable[[Breach], None] | None = None
        """Called with each breach that is kept, when it is found."""

    def add(self, kind: BreachKind, room: str, user: str, words: str, times: int = 1) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + times
        if len(self.breaches) < BREACHES_KEPT:
            # They quote a server that may be hostile, so characters that do not print are replaced.
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
    """Return ascending numbers as ranges: `17–19, 23`."""
    runs: list[tuple[int, int]] = []
    for seq in seqs:
        if runs and seq == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in runs[:10]]
    return ", ".join(shown) + (f" and {len(runs) - 10} runs more" if len(runs) > 10 else "")
