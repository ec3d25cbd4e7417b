"""Two clocks moved by hand, for tests of the server's time."""

from trio_chat.server.clock import ServerTime

__all__ = ["DAY_MS", "NOW_MS", "TEN_YEARS_MS", "Clocks"]

DAY_MS = 86_400_000
TEN_YEARS_MS = 3_650 * DAY_MS
NOW_MS = 1_790_000_000_000  # 2026-09-21


class Clocks:
    """A monotonic clock, and a wall clock that may be set to anything meanwhile."""

    def __init__(self, wall_ms: int = NOW_MS) -> None:
        self.monotonic_ms = 12_345
        self.wall_ms = wall_ms

    def server_time(self) -> ServerTime:
        return ServerTime(lambda: self.monotonic_ms, lambda: self.wall_ms)

    def advance(self, ms: int) -> None:
        """Let time go by, on both clocks."""
        self.monotonic_ms += ms
        self.wall_ms += ms

    def run(self, server_time: ServerTime, ms: int, step_ms: int = 5_000) -> None:
        """Let time go by while the server compares its clocks every few seconds."""
        for _ in range(ms // step_ms):
            self.advance(step_ms)
            server_time.now_ms()
