"""How often: a token bucket, the classic one."""

__all__ = ["Bucket"]


class Bucket:
    """Grants `burst` at once and `per_s` a second from then on.

    Time is an argument, in seconds; a moment before the last one counts as the last one, since a
    member's sessions need not agree to the millisecond.
    """

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, burst: int, per_s: float, now: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take one: 0.0 when granted, else after how many seconds it would be. A refusal costs nothing."""
        left = self._left
        if now > self._at:
            left = min(self._burst, left + (now - self._at) * self._per_s)
            self._at = now
        if left >= 1.0:
            self._left = left - 1.0
            return 0.0
        self._left = left
        return (1.0 - left) / self._per_s
