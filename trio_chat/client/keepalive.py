"""Keep a connection alive, and detect a dead one."""

from collections.abc import Callable
from math import inf

import trio

from trio_chat.client.backpressure import Backpressure
from trio_chat.client.connection import Connection
from trio_chat.errors import ConnectionLost
from trio_chat.wire.messages import Ping

__all__ = ["ANSWER_S", "LOOK_S", "PING_S_MAX", "SLEPT_S", "Sleep", "keep_alive"]

LOOK_S = 5
SLEPT_S = 10
ANSWER_S = 10
PING_S_MAX = 300  # whatever the server asks for, its silence is detected within about ten minutes


class Sleep:
    """Detect by two clocks that this machine has slept. Pure.

    Trio's clock stops during sleep (on Linux), so a connection that died in the sleep would be detected only
    a minute later. The wall clock goes on. If it was only set, the client sends one unnecessary ping.
    """

    def __init__(self, wall_s: float, now: float) -> None:
        self._ahead_s = wall_s - now

    def noticed(self, wall_s: float, now: float) -> bool:
        """Return whether the machine has slept since the last call."""
        before_s, self._ahead_s = self._ahead_s, wall_s - now
        return self._ahead_s > before_s + SLEPT_S


async def keep_alive(
    connection: Connection, brake: Backpressure, ping_s: int, clock_s: Callable[[], float] | None
) -> ConnectionLost:
    """Ping after `ping_s` seconds without traffic, and return when the server is silent for too long.

    While the reader is paused, silence does not count. `clock_s` is the wall clock: after a sleep of the
    machine the client pings at once, and the server has ten seconds to answer.
    """
    ping_s = min(max(ping_s, 1), PING_S_MAX)  # 0 would ping without a pause
    silence_s = 2 * ping_s + 10
    pinged_at = trio.current_time()
    asked_at, answer_by = -inf, inf
    sleep = Sleep(clock_s(), pinged_at) if clock_s is not None else None
    while True:
        now = trio.current_time()
        if brake.paused:
            connection.heard_at = now
        if connection.heard_at > asked_at:
            answer_by = inf
        if sleep is not None and clock_s is not None and sleep.noticed(clock_s(), now):
            asked_at, answer_by = now, now + ANSWER_S
        over_at = min(connection.heard_at + silence_s, answer_by)
        if now >= over_at:
            heard_s = round(now - connection.heard_at)
            return ConnectionLost(f"connection lost: no data from the server for {heard_s} s")
        due = max(min(connection.sent_at, connection.heard_at), pinged_at) + ping_s
        if now >= due or asked_at == now:
            if not connection.crowded:
                connection.send_nowait(connection.pack(Ping()))
            pinged_at = now
            due = now + ping_s
        look_at = inf if sleep is None else now + LOOK_S
        await trio.sleep_until(min(due, over_at, look_at))
