"""The events of a run, from its notes: points on the lanes of the hosts, messages between them, faults.

The notes are in the order of the events. A message is the bytes that one send took; it has arrived when its
last byte was read.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from trio_chat.testing.chat.plan import SERVER
from trio_chat.testing.chat.record import Recording
from trio_chat.testing.picture.frames import Said, Stream

__all__ = ["Message", "Point", "RunPicture", "Span", "scene_of"]

BREACHES_MAX = 40
_LIGHT = ("accept", "delivered", "fin", "sent")
_ENTRIES = re.compile(r" (\d+(?:–\d+)?(?:, \d+(?:–\d+)?)*)")


@dataclass(eq=False)
class Point:
    """An event of a host, or of all hosts (`host` is empty). `what` is a kind of note."""

    order: int
    time: float
    host: str
    what: str
    connection: str = ""
    words: str = ""
    after: list[Point] = field(default_factory=list)
    """The points that caused it."""
    light: bool = False
    """Whether it is independent of other events of its host, except for those of the same connection."""


@dataclass(eq=False)
class Message:
    """A piece of the bytes from one host to another; `read` is None if its last byte never was."""

    connection: str
    source: str
    target: str
    start: int
    end: int
    sent: Point
    read: Point | None = None
    sort: str = "unknown"
    words: str = ""
    shows: frozenset[Said] = frozenset()
    light: bool = False


@dataclass(eq=False)
class Span:
    """A connection or a fault, with its duration and its hosts."""

    words: str
    hosts: tuple[str, ...]
    begins: Point
    ends: Point | None = None
    strikes: Point | None = None


@dataclass
class RunPicture:
    """The picture of a run."""

    lanes: list[str]
    points: list[Point]
    messages: list[Message]
    connections: list[Span]
    faults: list[Span]
    guilty: frozenset[Said]
    """The entries that broken promises are about."""


def scene_of(recording: Recording) -> RunPicture:
    """Read the notes of a run."""
    reader = _Reader(recording)
    for note in recording.notes:
        reader.time = note.time
        what, *more = note.what
        if what.startswith("fault "):
            reader.fault(what.removeprefix("fault "), *more[1:])
        elif method := getattr(reader, f"see_{what}", None):
            method(*more)
    return reader.finish()


class _Reader:
    """Goes through the notes."""

    def __init__(self, recording: Recording) -> None:
        self.time = 0.0
        self._recording = recording
        self._points: list[Point] = []
        self._messages: list[Message] = []
        self._under_way: dict[tuple[str, str], deque[Message]] = {}  # by connection and target
        self._read: dict[tuple[str, str], int] = {}
        self._sent: dict[tuple[str, str], int] = {}
        self._connections: dict[str, Span] = {}
        self._faults: list[Span] = []
        self._last: dict[str, Point] = {}  # of each host
        self._guilty: set[Said] = set()
        self._breaches = 0
        streams = recording.streams
        self._streams = {
            key: Stream(bytes(data), is_servers=key[1] == SERVER) for key, data in streams.items()
        }

    def finish(self) -> RunPicture:
        failure = self._recording.failure
        if failure is not None and not self._breaches:
            self._point("", "breach", words=failure.words or failure.alike)
        for message in self._messages:
            self._name(message)
        self._find_light()
        plan = self._recording.plan
        seen = dict.fromkeys(point.host for point in self._points if point.host)
        others = [host for host in seen if host != SERVER and host not in plan.users]
        users = [*plan.users, *others]
        middle = (len(users) + 1) // 2
        return RunPicture(
            lanes=[*users[:middle], SERVER, *users[middle:]],
            points=self._points,
            messages=self._messages,
            connections=list(self._connections.values()),
            faults=self._faults,
            guilty=frozenset(self._guilty),
        )

    def _point(self, host: str, what: str, connection: str = "", words: str = "") -> Point:
        point = Point(len(self._points), self.time, host, what, connection, words)
        self._points.append(point)
        self._last[host] = point
        return point

    def _again(self, host: str, what: str, connection: str) -> Point:
        """Return the last point of the host if it is of the same kind and time, or else a new point."""
        last = self._last.get(host)
        if last is not None and (last.time, last.what, last.connection) == (self.time, what, connection):
            return last
        return self._point(host, what, connection)

    def _name(self, message: Message) -> None:
        stream = self._streams.get((message.connection, message.source))
        if stream is None:
            message.words = f"{message.end - message.start} bytes"
            return
        message.words = stream.words(message.start, message.end)
        frames = stream.within(message.start, message.end)
        sorts = {frame.sort for frame in frames}
        order = ("trouble", "talk", "presence", "answer", "alive", "unknown")
        message.sort = next((sort for sort in order if sort in sorts), "unknown")
        message.light = bool(frames) and all(frame.light for frame in frames)
        message.shows = frozenset(frame.said for frame in frames if frame.said)

    def _find_light(self) -> None:
        heavy: set[Point] = set()
        for message in self._messages:
            if not message.light:
                heavy.add(message.sent)
                heavy.update([message.read] if message.read else [])
        for point in self._points:
            point.light = point.what in _LIGHT and point not in heavy

    # --- notes of the network; see MemoryNetwork ------------------------------------------------------

    def see_dial(self, connection: str) -> None:
        host, _ = _ends(connection)
        point = self._point(host, "dial", connection, words="dial")
        self._connections[connection] = Span(connection, (host,), point)

    def see_accept(self, connection: str) -> None:
        host, server = _ends(connection)
        point = self._point(server, "accept", connection, words=f"accepts {host}")
        point.after.append(self._connections[connection].begins)

    def see_refused(self, _: str, host: str, server: str, why: str) -> None:
        self._point(host, "refused", words=f"dial in vain: {why}")

    def see_sent(self, connection: str, host: str, size: int) -> None:
        start = self._sent.get((connection, host), 0)
        self._sent[connection, host] = start + size
        target = _other(connection, host)
        point = self._again(host, "sent", connection)
        going = self._under_way.setdefault((connection, target), deque())
        if going and going[-1].sent is point:
            going[-1].end += size
            return
        message = Message(connection, host, target, start, start + size, point)
        going.append(message)
        self._messages.append(message)

    def see_delivered(self, connection: str, host: str, size: int) -> None:
        self._read[connection, host] = upto = self._read.get((connection, host), 0) + size
        point = self._again(host, "delivered", connection)
        going = self._under_way.get((connection, host), deque())
        while going and going[0].end <= upto:
            message = going.popleft()
            if message.sent.order > point.order:  # the host had begun to read before the message was sent
                point = self._point(host, "delivered", connection)
            message.read = point
            point.after.append(message.sent)

    def see_fin(self, connection: str, host: str) -> None:
        self._ends(connection, self._point(host, "fin", connection, words="no more will come"))

    def see_rst(self, connection: str, host: str) -> None:
        self._ends(connection, self._point(host, "rst", connection, words="reset"))

    def see_cut(self, connection: str, host: str) -> None:
        words = f"cut off from {_other(connection, host)}"
        self._ends(connection, self._point(host, "cut", connection, words=words))

    def _ends(self, connection: str, point: Point) -> None:
        """End the connection for the dialler at the first FIN or reset of either end."""
        span = self._connections[connection]
        if span.ends is None:
            span.ends = point

    def fault(self, what: str, rule: str, first: str, second: str, both: int) -> None:
        arrow = "↔" if both else "→"
        words = f"{rule}, {_anybody(first)} {arrow} {_anybody(second)}"
        hosts = tuple(each for each in (first, second) if each not in (SERVER, "*")) or ("*",)
        point = self._point(
            hosts[0] if hosts != ("*",) else SERVER, f"fault {what}", words=f"{words}: {what}"
        )
        if what == "begins":
            self._faults.append(Span(words, hosts, point))
            return
        for span in self._faults:
            if span.words == words and span.ends is None and (what == "ends" or span.strikes is None):
                if what == "ends":
                    span.ends = point
                else:
                    span.strikes = point
                return

    # --- notes of the chat -----------------------------------------------------------------------------

    def see_crash(self) -> None:
        self._point(SERVER, "crash", words="killed")

    def see_breach(self, _: str, kind: str, room: str, user: str, words: str) -> None:
        self._breaches += 1
        if room and (found := re.search(re.escape(room) + _ENTRIES.pattern, words)):
            for part in found[1].split(", "):
                first, _, last = part.partition("–")
                self._guilty.update((room, number) for number in range(int(first), int(last or first) + 1))
        if self._breaches <= BREACHES_MAX:
            host = user if user in self._recording.plan.users else ""
            self._point(host, "breach", words=f"{kind}: {words}")
        elif self._breaches == BREACHES_MAX + 1:
            self._point("", "breach", words="… and more of them")


def _ends(connection: str) -> tuple[str, str]:
    host, _, rest = connection.partition("→")
    return host, rest.rpartition("#")[0]


def _other(connection: str, host: str) -> str:
    first, second = _ends(connection)
    return second if host == first else first


def _anybody(host: str) -> str:
    return "all" if host == "*" else host
