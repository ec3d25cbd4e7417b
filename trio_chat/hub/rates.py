"""Rate limits: token buckets, kept for each token and each address prefix until they are full again.

An allowance outlives the sessions of its token. Otherwise a client that reconnects after each burst would
have a full bucket every time: thousands of messages a second instead of five. The same holds for a client
that makes a new token for each connection, so a token younger than a minute is also charged to the allowance
of its address prefix, which is ten times as large.

Time is an argument, in seconds. So is `late`: for how many seconds in all the server has been late. Commands
that pile up while it does not read must not be refused afterwards, so a bucket may then fill beyond its
burst, by its rate times that time. In the long run no rate is exceeded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from trio_chat.errors import Refused

__all__ = ["Allowance", "Bucket", "Rate", "RateLimiter"]

YOUNG_S = 60.0
PREFIX_FACTOR = 10
LATE_MAX_S = 60.0  # the most that counts, however long the server was late
EXPIRED_AT_ONCE = 16
KEPT_MAX = 100_000  # allowances without a session; a used one takes some 500 bytes


class Rate(NamedTuple):
    """Allow `burst` commands at once, and `per_s` a second from then on."""

    burst: int
    per_s: float


class Bucket:
    """A token bucket: `burst` at once and `per_s` a second from then on. Time must not go back."""

    __slots__ = ("_at", "_burst", "_late", "_left", "_per_s")

    def __init__(self, burst: int, per_s: float, now: float, late: float = 0.0) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._at = now
        self._late = late

    def wait_s(self, amount: int, now: float, late: float = 0.0) -> float:
        """Return after how many seconds the bucket will hold `amount`; 0.0 if it holds it now."""
        if now > self._at:
            bound = self._burst + min(late - self._late, LATE_MAX_S) * self._per_s
            # An excess over the bound was granted for an earlier time in which the server was late.
            self._left = max(self._left, min(bound, self._left + (now - self._at) * self._per_s))
            self._at = now
            self._late = late
        return 0.0 if self._left >= amount else (amount - self._left) / self._per_s

    def spend(self, amount: int) -> None:
        """Take `amount`; the caller has checked it with `wait_s`."""
        self._left -= amount


class Allowance:
    """The buckets of one token or address prefix, created at the first command: most sessions only listen."""

    __slots__ = ("_buckets", "_late", "born", "excused_s", "used_at")

    def __init__(self, now: float, late: float = 0.0) -> None:
        self.born = now
        self.used_at = now
        self._late = late
        self.excused_s = 0.0
        """For how many seconds in all this token's commands have waited for the server."""
        self._buckets: dict[str, Bucket] | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing was ever taken."""
        return self._buckets is None

    def bucket(self, kind: str, rate: Rate, factor: int) -> Bucket:
        """Return the bucket of one kind; a new bucket was full when the allowance was."""
        if self._buckets is None:
            self._buckets = {}
        bucket = self._buckets.get(kind)
        if bucket is None:
            rate = Rate(rate.burst * factor, rate.per_s * factor)
            bucket = self._buckets[kind] = Bucket(*rate, self.born, self._late)
        return bucket


class RateLimiter:
    """Keep the allowances of tokens and of address prefixes.

    `rates` gives a rate for each kind of command, in commands, and where its name ends in `_bytes`, in bytes.
    A kind that is not in it is not limited.
    """

    def __init__(self, rates: dict[str, Rate], *, kept_max: int = KEPT_MAX) -> None:
        self._rates = rates
        self._kept_max = kept_max
        self._full_s = max((rate.burst / rate.per_s for rate in rates.values()), default=0.0)
        self._detached: OrderedDict[str, Allowance] = OrderedDict()  # by token, the first detached first
        self._prefixes: OrderedDict[str, Allowance] = OrderedDict()  # the least recently used first

    def __len__(self) -> int:
        return len(self._detached) + len(self._prefixes)

    def attach(self, token: str, now: float, late: float = 0.0) -> Allowance:
        """Return the rest of a token's last allowance, or a full one."""
        self._expire(now)
        return self._detached.pop(token, None) or Allowance(now, late)

    def detach(self, token: str, allowance: Allowance, now: float) -> None:
        """Keep the allowance of a token until it is full again."""
        if not allowance.is_full:
            allowance.used_at = now
            self._detached[token] = allowance
        self._expire(now)

    def check(
        self, allowance: Allowance, prefix: str, kind: str, size: int, now: float, late: float = 0.0
    ) -> None:
        """Charge one command of a kind, and its `size` in bytes if it has one.

        `prefix` is that of the session's address, empty for an address that is not limited. Raises `Refused`:
        `rate_limited`; nothing is charged then.
        """
        buckets = self._buckets(allowance, 1, kind, size, late + allowance.excused_s)
        if prefix and now - allowance.born < YOUNG_S:
            buckets += self._buckets(self._of_prefix(prefix, now, late), PREFIX_FACTOR, kind, size, late)
        wait_s = max((bucket.wait_s(amount, now, late) for bucket, amount, late in buckets), default=0.0)
        if wait_s:
            raise Refused("rate_limited", f"too fast: {kind}", retry_after_s=int(wait_s) + 1)
        for bucket, amount, _ in buckets:
            bucket.spend(amount)

    def _buckets(
        self, allowance: Allowance, factor: int, kind: str, size: int, late: float
    ) -> list[tuple[Bucket, int, float]]:
        """Return the buckets to charge, the amount for each, and for how long the server has been late."""
        amounts = ((kind, 1), (f"{kind}_bytes", size)) if size else ((kind, 1),)
        return [
            (allowance.bucket(name, rate, factor), amount, late)
            for name, amount in amounts
            if (rate := self._rates.get(name)) is not None
        ]

    def _of_prefix(self, prefix: str, now: float, late: float) -> Allowance:
        allowance = self._prefixes.pop(prefix, None) or Allowance(now, late)
        allowance.used_at = now
        self._prefixes[prefix] = allowance
        if len(self._prefixes) > self._kept_max:
            self._prefixes.popitem(last=False)
        return allowance

    def _expire(self, now: float) -> None:
        """Forget some allowances that are full again, and the oldest over the bound."""
        for kept in (self._detached, self._prefixes):
            for _ in range(EXPIRED_AT_ONCE):
                if not kept:
                    break
                oldest = next(iter(kept.values()))
                if len(kept) <= self._kept_max and oldest.used_at + self._full_s > now:
                    break
                kept.popitem(last=False)
