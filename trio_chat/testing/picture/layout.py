"""The layout of the drawing: hosts from left to right, time from top to bottom.

Within an instant of virtual time many events happen, and between two instants none. So rows show the order of
events: an event is in a lower row than earlier events on its lane and than its causes; independent events
share a row. Between two instants there is a gap that grows with the logarithm of the time between them.
"""

from __future__ import annotations

from bisect import bisect_right
from math import log10

from trio_chat.testing.picture.events import Point, RunPicture

__all__ = ["Layout"]

ROW = 15.0
QUIET_ROW = 9.0  # a row of reads only, which has no words
LEFT = 84.0  # for the times
RIGHT = 460.0  # for the words
LANES_WIDE = 880.0
LANE_MIN, LANE_MAX = 46.0, 130.0
GAP_MAX = 44.0
# Events of one host for several others that share a row, if no other event is in between.
_TOGETHER = ("sent", "delivered")


class Layout:
    """The positions of one picture, in pixels."""

    def __init__(self, scene: RunPicture) -> None:
        lanes = scene.lanes
        self.lane = max(LANE_MIN, min(LANE_MAX, LANES_WIDE / len(lanes)))
        self._x = {host: LEFT + self.lane * (index + 0.5) for index, host in enumerate(lanes)}
        self.words_x = LEFT + self.lane * len(lanes) + 16
        self.width = self.words_x + RIGHT
        self._rows: dict[Point, int] = {}
        self.instants: list[tuple[float, int]] = []
        """Each time at which something happened, and its first row."""
        self.rows = 0
        self._place(scene.points)
        loud = {self._rows[point] for point in scene.points if not _is_quiet(point)}
        self._heights = [ROW if row in loud else QUIET_ROW for row in range(self.rows)]
        self._tops = self._gaps()
        self.height = self._tops[-1] + 2 * ROW if self._tops else ROW

    def x(self, host: str) -> float:
        """Return the middle of a host's lane; the left edge without a host."""
        return self._x.get(host, LEFT)

    def row(self, point: Point) -> int:
        return self._rows[point]

    def y(self, point: Point) -> float:
        """Return the middle of the row of a point."""
        return self.row_y(self._rows[point])

    def row_y(self, row: int) -> float:
        return self._tops[row] + self._heights[row] / 2

    def top(self, row: int) -> float:
        """Return the top of a row."""
        return self._tops[row]

    def time_y(self, time: float) -> float:
        """Return the position of a time without an event: below the events until then."""
        index = bisect_right(self.instants, (time, self.rows)) - 1
        if index < 0:
            return 0.0
        until = self.instants[index + 1][1] if index + 1 < len(self.instants) else self.rows
        return self.row_y(until - 1)

    def _place(self, points: list[Point]) -> None:
        """Give each point a row, as Lamport's clocks count."""
        now = -1.0
        first = 0
        busy: dict[str, tuple[int, str]] = {}  # by host: its last row, and what it is
        ends: dict[tuple[str, str], int] = {}  # by host and connection: its last row
        for point in points:
            if point.time != now:
                now, first = point.time, self.rows
                self.instants.append((now, first))
                busy.clear()
                ends.clear()
            end = point.host, point.connection
            before = ends.get(end, -1) if point.connection else -1
            row = max([first, before + 1, *(self._rows[cause] + 1 for cause in point.after)])
            if point.what == "breach":
                row = max(row, self.rows)
            if not point.light:
                last, what = busy.get(point.host, (first - 1, ""))
                together = point.what == what and what in _TOGETHER and row <= last
                row = last if together else max(row, last + 1)
                busy[point.host] = row, point.what
            self._rows[point] = ends[end] = row
            self.rows = max(self.rows, row + 1)

    def _gaps(self) -> list[float]:
        """Return the top of each row."""
        tops = []
        top = 0.0
        starts = {row: time for time, row in self.instants}
        before = 0.0
        for row in range(self.rows):
            if row in starts:
                time = starts[row]
                top += 4 + min(GAP_MAX, 6 * log10(1 + (time - before) * 100)) if row else 4
                before = time
            tops.append(top)
            top += self._heights[row]
        return tops


def _is_quiet(point: Point) -> bool:
    """Return whether the point has no words: an accept, or a read of bytes sent at the same instant."""
    return point.what == "accept" or (
        point.what == "delivered" and all(cause.time == point.time for cause in point.after)
    )
