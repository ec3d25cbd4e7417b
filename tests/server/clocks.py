"""Manual clocks for tests: two of the server's time, and a work clock that stands still."""

from trio_chat.server.clock import ServerTime

__all__ = ["DAY_MS", "NOW_MS", "TEN_YEARS_MS", "Clocks", "no_work"]

DAY_MS = 86_400_000
TEN_YEARS_MS = 3_650 * DAY_MS
NOW_MS = 1_790_000_000_000  # 2026-09-21


def no_work() -> float:
    """Return the same time always: work takes none, so the speed of the machine ends no slice."""
    return 0.0


class Clocks:
    """A monotonic clock, and a wall clock that a test may set."""

    def __init__(self, wall_ms: int = NOW_MS) -> None:
        self.monotonic_ms = 12_345
        self.wall_ms = wall_ms

    def server_time(self) -> ServerTime:
        return ServerTime(lambda: self.monotonic_ms, lambda: self.wall_ms)

    def advance(self, ms: int) -> None:
        """Advance both clocks."""
        self.monotonic_ms += ms
        self.wall_ms += ms

    def run(self, server_time: ServerTime, ms: int, step_ms: int = 5_000) -> None:
        """Advance both clocks while the server compares them every few seconds."""
        for _ in range(ms // step_ms):
            self.advance(step_ms)
            server_time.now_ms()
