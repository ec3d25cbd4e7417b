"""Keep to the server's rates: decide when a command may be sent so that the server does not refuse it.

Pure: `now` is an argument, in seconds. `welcome` announces how many messages a member may send: `talk_burst`
at once and `talk_per_s` a second after that, and likewise bytes. The pacer keeps its own token buckets for
these. Other commands that the server refuses as `rate_limited` wait for as long as it asks.

The buckets never hold more than the server's. The server charges a message at some time between its sending
and its answer, so a message without an answer counts as charged, and the bucket gains nothing for it before
the answer: it fills up to its burst less the unanswered amount. So neither a slow network nor one that
delivers in bulk makes the pacer send too much.

The pacer cannot know everything: other and earlier sessions of the member use the same rate. A refused
message must not be overtaken by a later one. So messages are sent behind unanswered ones only while more than
half of the burst is left, and one at a time otherwise; and a refusal empties the buckets.
"""

from __future__ import annotations

from math import inf
from typing import Literal

from trio_chat.wire.messages import (
    UNLIMITED_PER_S,
    Command,
    History,
    Join,
    Leave,
    Rename,
    Rooms,
    Say,
    Search,
    ServerLimits,
    Topic,
    Whisper,
    Who,
)

__all__ = ["Pacer", "RateKind", "TokenBucket", "kind_of"]

RateKind = Literal["talk", "rooms", "questions"]

# The server's clock may run slower than this one.
SHARE = 0.99
WAIT_S_MIN = 0.001  # rounding must not make a wait so short that time does not pass


def kind_of(command: Command) -> RateKind | None:
    """Return the rate that a command is charged to (docs/protocol.md), or None."""
    match command:
        case Say() | Topic() | Whisper() | Rename():
            return "talk"
        case Join() | Leave():
            return "rooms"
        case Who() | Rooms() | History() | Search():
            return "questions"
        case _:
            return None


class TokenBucket:
    """A token bucket: `burst` at once and `per_s` a second after that, less the unanswered amount."""

    __slots__ = ("_at", "_burst", "_left", "_per_s", "_unanswered")

    def __init__(self, burst: float, per_s: float, now: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = burst
        self._unanswered = 0.0
        self._at = now

    def wait_s(self, amount: float, now: float) -> float:
        """Return how long to wait before `amount` may be sent; `inf` means until the next answer.

        An amount over the burst is granted when the bucket is full: the server would never grant it, or has
        another burst.
        """
        self._fill(now)
        amount = min(amount, self._burst)
        if self._unanswered and self._left - amount < self._burst / 2:
            return inf
        if self._left >= amount:
            return 0.0
        return max((amount - self._left) / self._per_s, WAIT_S_MIN)

    def send(self, amount: float, now: float) -> None:
        """Take `amount`, which is unanswered from now on."""
        self._fill(now)
        amount = min(amount, self._burst)
        self._left -= amount
        self._unanswered += amount

    def answer(self, amount: float, now: float) -> None:
        """Count `amount` as answered: the server has charged it by now."""
        self._fill(now)
        self._unanswered = max(0.0, self._unanswered - min(amount, self._burst))

    def answer_all(self, now: float) -> None:
        """Count everything as answered: no further answers will come."""
        self._fill(now)
        self._unanswered = 0.0

    def empty(self, now: float) -> None:
        """Empty the bucket after a refusal."""
        self._fill(now)
        self._left = 0.0

    def _fill(self, now: float) -> None:
        if now > self._at:
            filled = self._left + (now - self._at) * self._per_s
            self._left = max(self._left, min(filled, self._burst - self._unanswered))
            self._at = now


class Pacer:
    """Decide when commands may be sent. If `is_on` is false: always at once, and refusals change nothing."""

    def __init__(self, limits: ServerLimits, now: float, *, is_on: bool = True) -> None:
        self.is_on = is_on
        self._limits: ServerLimits | None = None
        self._messages: TokenBucket | None = None
        self._bytes: TokenBucket | None = None
        self._paused_until: dict[RateKind, float] = {}
        self.set_limits(limits, now)

    @property
    def is_idle(self) -> bool:
        """Whether every command may be sent at once, until a refusal."""
        return self._messages is None and self._bytes is None and not self._paused_until

    def set_limits(self, limits: ServerLimits, now: float) -> None:
        """Take the limits of a `welcome`. The buckets stay if the limits are the same."""
        if not self.is_on or limits == self._limits:
            return
        self._limits = limits
        self._messages = _bucket(limits.talk_burst, limits.talk_per_s, now)
        self._bytes = _bucket(limits.talk_bytes_burst, limits.talk_bytes_per_s, now)

    def wait_s(self, command: Command, now: float) -> float:
        """Return how long to wait before a command may be sent; `inf` means until the next answer."""
        kind = kind_of(command)
        if kind is None or self.is_idle:
            return 0.0
        wait_s = self._pause_s(kind, now)
        if kind == "talk":
            if self._messages is not None:
                wait_s = max(wait_s, self._messages.wait_s(1, now))
            if self._bytes is not None and (size := self._size(command)):
                wait_s = max(wait_s, self._bytes.wait_s(size, now))
        return wait_s

    def send(self, command: Command, now: float) -> None:
        """Count a command as sent now."""
        if kind_of(command) == "talk":
            if self._messages is not None:
                self._messages.send(1, now)
            if self._bytes is not None:
                self._bytes.send(self._size(command), now)

    def answer(self, command: Command, now: float) -> None:
        """Count a command as answered or refused."""
        if kind_of(command) == "talk":
            if self._messages is not None:
                self._messages.answer(1, now)
            if self._bytes is not None:
                self._bytes.answer(self._size(command), now)

    def refuse(self, command: Command, retry_s: float, now: float) -> bool:
        """Take a `rate_limited`: commands of that kind wait for `retry_s`. Return False for a command without
        a rate."""
        kind = kind_of(command)
        if kind is None or not self.is_on:
            return False
        self._paused_until[kind] = max(now + retry_s, self._paused_until.get(kind, now))
        if kind == "talk":
            for bucket in (self._messages, self._bytes):
                if bucket is not None:
                    bucket.empty(now)
        return True

    def lose(self, now: float) -> None:
        """Note that the connection is lost: unanswered commands were charged by now, or never will be."""
        for bucket in (self._messages, self._bytes):
            if bucket is not None:
                bucket.answer_all(now)

    def _pause_s(self, kind: RateKind, now: float) -> float:
        until = self._paused_until.get(kind)
        if until is None:
            return 0.0
        if until <= now:
            del self._paused_until[kind]
            return 0.0
        return max(until - now, WAIT_S_MIN)

    def _size(self, command: Command) -> int:
        """Return the bytes that a command is charged: those of its text, at most `text_bytes`."""
        if not isinstance(command, Say | Topic | Whisper) or self._limits is None:
            return 0
        text = command.text
        return min(len(text) if text.isascii() else len(text.encode()), self._limits.text_bytes)


def _bucket(burst: int, per_s: int, now: float) -> TokenBucket | None:
    """Return a bucket for an announced rate; None for a rate that is not announced or that no client
    reaches."""
    if per_s <= 0 or per_s >= UNLIMITED_PER_S:
        return None
    return TokenBucket(max(burst, 1), per_s * SHARE, now)
