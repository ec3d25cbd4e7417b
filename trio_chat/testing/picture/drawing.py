"""Draw a picture as SVG: in bands of some screens each, so that a browser need not draw invisible parts and
a printer can break pages between them. A shape across the edge of a band is drawn in both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from trio_chat.testing.chat.plan import SERVER, Doze, Plan
from trio_chat.testing.picture.events import Message, Point, RunPicture, Span
from trio_chat.testing.picture.layout import LEFT, ROW, Layout
from trio_chat.testing.picture.words import words_of_rows

__all__ = ["bands", "heads"]

BAND_ROWS = 21
IDLE_S = 1.0  # longer gaps show their duration
LABEL_ROOM = 11.0
WORDS_MAX = 72
FAULT_WIDE = 84.0
SPARE = 10.0  # how far a shape may extend beyond its rows


@dataclass(frozen=True)
class _Shape:
    top: float
    bottom: float
    svg: str


def heads(scene: RunPicture, layout: Layout) -> str:
    """Return the hosts' names above their lanes."""
    names = []
    for host in scene.lanes:
        sort = "server" if host == SERVER else "user"
        names.append(
            f'<text class="head {sort}" data-h="{escape(host)}" x="{layout.x(host):.1f}" y="18">'
            f"{escape(host)}</text>"
        )
    return (
        f'<svg class="heads" width="{layout.width:.0f}" height="26" viewBox="0 0 {layout.width:.0f} 26">'
        f'<text class="time" x="{LEFT - 14:.0f}" y="18">seconds</text>{"".join(names)}</svg>'
    )


def bands(scene: RunPicture, layout: Layout, plan: Plan) -> Iterator[str]:
    """Yield the drawing, from top to bottom."""
    shapes = list(_Drawing(scene, layout, plan).shapes())
    for top, bottom in _cuts(layout):
        inside = "".join(shape.svg for shape in shapes if shape.bottom >= top and shape.top < bottom)
        yield (
            f'<svg class="band" width="{layout.width:.0f}" height="{bottom - top:.1f}"'
            f' viewBox="0 {top:.1f} {layout.width:.0f} {bottom - top:.1f}">{inside}</svg>'
        )


def _cuts(layout: Layout) -> Iterator[tuple[float, float]]:
    """Yield the limits of each band: between two instants, unless these are too long."""
    rows = [0]
    starts = {row for _, row in layout.instants}
    for row in range(1, layout.rows):
        length = row - rows[-1]
        if length >= BAND_ROWS or (length >= BAND_ROWS * 2 // 3 and row in starts):
            rows.append(row)
    tops = [layout.top(row) for row in rows] if layout.rows else [0.0]
    yield from zip([0.0, *tops[1:]], [*tops[1:], layout.height], strict=True)


class _Drawing:
    """All shapes, the background first."""

    def __init__(self, scene: RunPicture, layout: Layout, plan: Plan) -> None:
        self._scene = scene
        self._layout = layout
        self._plan = plan

    def shapes(self) -> Iterator[_Shape]:
        yield from self._instants()
        for number, fault in enumerate(self._scene.faults, 1):
            yield from self._fault(number, fault)
        yield from self._dozes()
        yield from self._lanes()
        for message in self._scene.messages:
            yield self._message(message)
        for point in self._scene.points:
            yield from self._point(point)
        yield from self._words()

    # --- background -----------------------------------------------------------------------------------

    def _instants(self) -> Iterator[_Shape]:
        layout = self._layout
        labelled, before = -LABEL_ROOM, 0.0
        for time, row in layout.instants:
            y = layout.row_y(row)
            edge = layout.top(row) - 2
            lines = _line("instant", LEFT, edge, layout.words_x - 16, edge)
            if time - before >= IDLE_S:
                lines += _text("idle", LEFT - 14, edge - 8, f"{time - before:.0f} s later")
            if y - labelled >= LABEL_ROOM:
                lines += _text("time", LEFT - 14, y + 4, f"{time:.3f}")
                labelled = y
            before = time
            yield _Shape(edge - 20, y, lines)

    def _fault(self, number: int, fault: Span) -> Iterator[_Shape]:
        layout = self._layout
        top = layout.y(fault.begins) - ROW / 2
        bottom = layout.y(fault.ends) + ROW / 2 if fault.ends else layout.height
        sort = "fault struck" if fault.strikes else "fault"
        everywhere = fault.hosts == ("*",)
        half = min(layout.lane, FAULT_WIDE) / 2
        for host in fault.hosts:
            inset = 3.0 + 3.0 * (number % 3)
            x = LEFT if everywhere else layout.x(host) - half + inset
            width = layout.words_x - 16 - LEFT if everywhere else 2 * (half - inset)
            title = f"<title>F{number}: {escape(fault.words)}</title>"
            yield _Shape(
                top,
                bottom,
                f'<rect class="{sort}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}"'
                f' height="{bottom - top:.1f}" rx="4">{title}</rect>',
            )
            yield _Shape(top, top + ROW, _text("tag", x + 3, top + 11, f"F{number}"))
            if fault.strikes:
                y = layout.y(fault.strikes)
                bolt = f"M{x + width - 8:.1f},{y - 8:.1f}l-6,9h4l-2,7l7,-10h-4l3,-6z"
                yield _Shape(y - SPARE, y + SPARE, f'<path class="bolt" d="{bolt}">{title}</path>')

    def _dozes(self) -> Iterator[_Shape]:
        """Yield the pauses of readers, from the plan: the notes do not contain them."""
        layout = self._layout
        for step in self._plan.steps:
            if isinstance(step, Doze) and step.lasts_s > 0:
                top, bottom = layout.time_y(step.at_s), layout.time_y(step.at_s + step.lasts_s) + ROW / 2
                x = layout.x(step.user)
                title = f"<title>{escape(step.user)} reads nothing for {step.lasts_s} s</title>"
                yield _Shape(
                    top,
                    bottom,
                    f'<rect class="doze" x="{x - 7:.1f}" y="{top:.1f}" width="14"'
                    f' height="{max(bottom - top, 4):.1f}" rx="7">{title}</rect>',
                )

    def _lanes(self) -> Iterator[_Shape]:
        layout = self._layout
        for host in self._scene.lanes:
            x = layout.x(host)
            sort = "lane server" if host == SERVER else "lane"
            yield _Shape(0, layout.height, _line(sort, x, 0, x, layout.height))
        for span in self._scene.connections:
            x = layout.x(span.hosts[0])
            top = layout.y(span.begins)
            bottom = layout.y(span.ends) if span.ends else layout.height
            yield _Shape(top, bottom, _line("connected", x, top, x, bottom))

    # --- events ---------------------------------------------------------------------------------------

    def _message(self, message: Message) -> _Shape:
        layout = self._layout
        x, y = layout.x(message.source), layout.y(message.sent)
        to_x = layout.x(message.target)
        size = message.end - message.start
        when = f"{message.sent.time:.3f} s"
        if message.read is None:
            to_x, to_y = x + (to_x - x) * 0.6, y + ROW * 0.6
            end = f"{_cross('gone', to_x, to_y, 3)}"
            sort, when = f"{message.sort} unread", f"{when}, never read"
        else:
            to_y, end, sort = layout.y(message.read), "", message.sort
            if message.read.time != message.sent.time:
                when += f", read at {message.read.time:.3f} s"
        shrunk = 3.0 if to_x > x else -3.0
        user = message.source if message.target == SERVER else message.target
        title = f"{message.source} → {message.target}, {when}, {size} bytes: {message.words}"
        line = f'd="M{x + shrunk:.1f},{y:.1f}L{to_x - shrunk:.1f},{to_y:.1f}"'
        halo = f'<path class="halo" {line}/>' if message.shows & self._scene.guilty else ""
        svg = (
            f'<g class="m {sort}" data-h="{escape(user)}"><title>{escape(title)}</title>'
            f"{halo}<path {line}/>{end}</g>"
        )
        return _Shape(min(y, to_y) - 4, max(y, to_y) + 4, svg)

    def _point(self, point: Point) -> Iterator[_Shape]:
        layout = self._layout
        x, y = layout.x(point.host), layout.y(point)
        label = ""
        match point.what:
            case "dial":
                svg = f'<circle class="dial" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
            case "accept":
                cause = point.after[0]
                from_x, from_y = layout.x(cause.host), layout.y(cause)
                svg = _line("dialling", from_x, from_y, x, y)
                yield _Shape(from_y, y, svg)
                return
            case "fin":
                svg = _line("fin", x - 6, y, x + 6, y)
                label = "fin"
            case "rst" | "cut" | "refused":
                svg = _cross("broken", x, y, 5)
                label = point.what
            case "crash":
                svg = _line("crash", LEFT, y, layout.words_x - 16, y) + _cross("broken", x, y, 7)
                label = "killed"
            case "breach":
                yield self._breach(point, x, y)
                return
            case _:
                return
        if label and point.host != SERVER:
            svg += _text("mark", x + 8, y + 3, label)
        yield _Shape(y - SPARE, y + SPARE, svg)

    def _breach(self, point: Point, x: float, y: float) -> _Shape:
        layout = self._layout
        svg = (
            f'<rect class="breach" x="{LEFT}" y="{y - ROW / 2 - 1:.1f}"'
            f' width="{layout.width - LEFT:.1f}" height="{ROW + 2:.1f}"/>'
        )
        if point.host:
            svg += f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
        from_x = x + 14 if point.host else LEFT + 6
        words = point.words
        if len(words) > (most := int((layout.width - from_x) / 6.9)):
            words = words[: most - 1] + "…"
        text = _text("broken-words", from_x, y + 4, words, title=point.words)
        return _Shape(y - ROW, y + ROW, svg + text)

    def _words(self) -> Iterator[_Shape]:
        for row, words in words_of_rows(self._scene, self._layout).items():
            y = self._layout.row_y(row)
            shown = words if len(words) <= WORDS_MAX else words[: WORDS_MAX - 1] + "…"
            yield _Shape(y - 6, y + 6, _text("words", self._layout.words_x, y + 4, shown, title=words))


def _text(sort: str, x: float, y: float, words: str, title: str = "") -> str:
    more = f"<title>{escape(title)}</title>" if title and title != words else ""
    return f'<text class="{sort}" x="{x:.1f}" y="{y:.1f}">{more}{escape(words)}</text>'


def _line(sort: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{sort}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _cross(sort: str, x: float, y: float, half: float) -> str:
    width = 2 * half
    strokes: Iterable[str] = (
        f"M{x - half:.1f},{y - half:.1f}l{width},{width}",
        f"M{x - half:.1f},{y + half:.1f}l{width},-{width}",
    )
    return f'<path class="{sort}" d="{"".join(strokes)}"/>'
