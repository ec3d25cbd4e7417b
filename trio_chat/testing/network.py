"""A network in memory with faults on demand: named hosts, which listen and dial.

    network = MemoryNetwork(Random(7))
    async with open_server(Config(), listeners=[network.listen("server")]):
        with network.fault(Latency(0.05, jitter_s=0.01), "ada", "server", both=True):
            async with connect("server", name="ada", dial=network.dialler("ada")) as chat: ...

For any other Trio program it has Trio streams: `listen_streams`, `dial_stream`.

The only clock is Trio's, and all randomness comes from `random`: on a virtual clock the same seed gives the
same run. The network has no tasks of its own.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import trio
from trio.lowlevel import ParkingLot

from trio_chat.errors import CannotConnect, CannotStart
from trio_chat.net.dial import Dial
from trio_chat.net.link import Link
from trio_chat.testing.connection import MemoryConnection
from trio_chat.testing.effects import ActiveRule
from trio_chat.testing.fault_pipeline import FaultPipeline
from trio_chat.testing.faults import Fault, Fin, Latency, NoFiles, Partition, Refuse, Rst, Rule
from trio_chat.testing.listener import ListenQueue, MemoryListener, StreamListener
from trio_chat.testing.pipe import BUFFER_BYTES, Note
from trio_chat.testing.stream import MemoryStream

__all__ = ["DIAL_S", "MemoryNetwork"]

DIAL_S = 127.0  # after which Linux gives up on a host that does not answer


class MemoryNetwork:
    """A network; a name makes a host. Each connection holds up to `buffer_bytes` in each direction.

    `note` is called for each event, with text and whole numbers: a kind, the connection's name (such as
    `ada→server#1`; empty where there is none), and

        dial                            a host has connected
        accept                          … and was accepted
        refused     from, to, why       … or was not
        sent        host, bytes         a host has sent so much: its pipe has taken it
        delivered   host, bytes         a host has read so much
        fin         host                a host said that no more will come
        rst         host                a host, or the network in its name, reset the connection
        cut         host                what the host was sending was cut off
        fault begins, strikes, ends     rule, first, second, both (0 or 1); it strikes when it first
                                        makes a difference
    """

    def __init__(
        self, random: Random | None = None, note: Note | None = None, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        if buffer_bytes < 1:
            raise ValueError(f"invalid buffer_bytes: got {buffer_bytes}, expected at least 1")
        self.random = random or Random(0)
        self._note = note
        self._buffer_bytes = buffer_bytes
        self._doors: dict[tuple[str, int], ListenQueue] = {}
        self._open: dict[str, MemoryConnection] = {}
        self._dialled: Counter[tuple[str, str]] = Counter()
        self._standing: list[ActiveRule] = []
        self._dialling = ParkingLot()  # dials that wait for a partition to end or for room in a queue
        self.struck = 0
        """How many faults that have ended made a difference while they lasted."""

    # --- connections ---------------------------------------------------------------------------------

    @property
    def connections(self) -> list[MemoryConnection]:
        """The connections that are open at one end at least, oldest first."""
        return list(self._open.values())

    def left_behind(self) -> list[str]:
        """Return one line for each connection that some program has not closed, with its unread bytes."""
        return [connection.left_behind() for connection in self._open.values()]

    def listen(self, host: str, port: int = 5555) -> MemoryListener:
        """Listen for links: a `trio_chat.net.listen.Listener`. Raises `CannotStart` if the port is in use."""
        try:
            return MemoryListener(self._listen(host, port), f"memory://{host}:{port}")
        except OSError as error:
            raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from error

    def listen_streams(self, host: str, port: int) -> StreamListener:
        """Listen for streams, as for `trio.serve_listeners`. Raises OSError if the port is in use."""
        return StreamListener(self._listen(host, port))

    async def dial(self, from_host: str, to_host: str, port: int = 5555) -> Link:
        """Connect as `dial_tcp` does; raises `CannotConnect`. Cancelling leaves no connection.

        Waits for one round trip under a `Latency`, and for at most 127 s while the hosts are partitioned or
        the queue of the listener is full.
        """
        try:
            return (await self._connect(from_host, to_host, port)).dialled
        except OSError as error:
            raise CannotConnect(f"cannot connect to {to_host}:{port}: {error.strerror}") from error

    async def dial_stream(self, from_host: str, to_host: str, port: int) -> MemoryStream:
        """Connect as `trio.open_tcp_stream` does; raises OSError. As `dial` otherwise."""
        return MemoryStream((await self._connect(from_host, to_host, port)).dialled)

    def dialler(self, from_host: str) -> Dial:
        """Return the dial function of a host: `connect(host, port, dial=network.dialler("ada"))`."""

        async def dial(host: str, port: int) -> Link:
            return await self.dial(from_host, host, port)

        return dial

    def _listen(self, host: str, port: int) -> ListenQueue:
        door = self._doors.get((host, port))
        if door is not None and not door.is_closed:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

        def lacks_files() -> bool:
            for standing in self._standing:
                if isinstance(standing.rule, NoFiles) and standing.second in (host, "*"):
                    standing.strike()
                    return True
            return False

        def changed() -> None:
            self._dialling.unpark_all()

        door = self._doors[host, port] = ListenQueue(lacks_files, changed)
        return door

    async def _connect(self, from_host: str, to_host: str, port: int) -> MemoryConnection:
        await trio.lowlevel.checkpoint()
        try:
            with trio.fail_after(DIAL_S):
                door = await self._reach(from_host, to_host, port)
        except trio.TooSlowError:
            raise self._refusal(from_host, to_host, errno.ETIMEDOUT) from None
        self._dialled[from_host, to_host] += 1
        name = f"{from_host}→{to_host}#{self._dialled[from_host, to_host]}"
        connection = MemoryConnection(name, from_host, to_host, self._buffer_bytes, self._note, self._closed)
        self._open[name] = connection
        if self._note is not None:
            self._note("dial", name)
        for standing in self._standing:
            self._put_on(standing, connection)
        door.come(connection)
        return connection

    async def _reach(self, from_host: str, to_host: str, port: int) -> ListenQueue:
        """Wait until a dial reaches a listener; return its queue."""
        travelled = False
        while True:
            if self._struck_by(Partition, from_host, to_host):
                await self._dialling.park()
                continue
            if not travelled:
                travelled = True
                if round_trip_s := self._round_trip_s(from_host, to_host):
                    await trio.sleep(round_trip_s)
                    continue
            door = self._doors.get((to_host, port))
            if self._struck_by(Refuse, from_host, to_host) or door is None or door.is_closed:
                raise self._refusal(from_host, to_host, errno.ECONNREFUSED)
            if not door.is_full:
                return door
            await self._dialling.park()

    def _round_trip_s(self, from_host: str, to_host: str) -> float:
        seconds = 0.0
        for source, target in ((from_host, to_host), (to_host, from_host)):
            for standing in self._standing:
                if isinstance(standing.rule, Latency) and standing.applies(source, target):
                    standing.strike()
                    seconds += standing.rule.delay_s + standing.rule.jitter_s * self.random.random()
        return seconds

    def _refusal(self, from_host: str, to_host: str, number: int) -> OSError:
        error = OSError(number, os.strerror(number))
        if self._note is not None:
            self._note("refused", "", from_host, to_host, error.strerror)
        return error

    def _closed(self, connection: MemoryConnection) -> None:
        del self._open[connection.name]

    # --- faults --------------------------------------------------------------------------------------

    @contextmanager
    def fault(
        self, rule: Rule, first: str = "*", second: str = "*", *, both: bool = False
    ) -> Iterator[ActiveRule]:
        """Apply a rule from the first host to the second (`"*"`: from or to any; `both`: and back), to
        existing and new connections, for the length of the block.

        Rules add up: each delays further the bytes that another delays. `Fin` and `Rst` strike at the
        beginning.
        """
        standing = ActiveRule(rule, first, second, both, self._note)
        standing.tell("begins")
        self._standing.append(standing)
        for connection in self.connections:
            self._put_on(standing, connection)
            self._strike_once(standing, connection)
        try:
            yield standing
        finally:
            self._standing.remove(standing)
            for connection in self.connections:
                for way in connection.ways:
                    if way.course is not None:
                        way.course.end(standing, trio.current_time())
            self._dialling.unpark_all()
            self.struck += standing.struck
            standing.tell("ends")

    async def befall(self, fault: Fault) -> None:
        """Inject a fault of a plan: wait until it begins, and until it ends. Cancelling ends it."""
        await trio.sleep(fault.at_s)
        with self.fault(fault.rule, fault.first, fault.second, both=fault.both):
            await trio.sleep(fault.lasts_s)

    def _put_on(self, standing: ActiveRule, connection: MemoryConnection) -> None:
        for way in connection.ways:
            if standing.applies(way.source, way.target):
                course = way.course or FaultPipeline(way, self.random)
                course.begin(standing, trio.current_time())

    def _strike_once(self, standing: ActiveRule, connection: MemoryConnection) -> None:
        strikes = [way for way in connection.ways if standing.applies(way.source, way.target)]
        if not strikes or not isinstance(standing.rule, Fin | Rst):
            return
        standing.strike()
        if isinstance(standing.rule, Rst):
            connection.rst()
        else:
            for way in strikes:
                connection.fin(way.source)

    def _struck_by(self, kind: type[Rule], source: str, target: str) -> bool:
        """Return whether an active rule of this kind applies to the direction."""
        for standing in self._standing:
            if isinstance(standing.rule, kind) and standing.applies(source, target):
                standing.strike()
                return True
        return False
