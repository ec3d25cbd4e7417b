"""The backlog: whether requests wait to be sent, and which of them the server has postponed.

No command overtakes the backlog: every new request joins the waiting ones, and `sender.py` sends them in
order. There is a backlog while disconnected, and whenever the pacer delays a command. A request that the
server refuses as `rate_limited` keeps its place, so it is sent again before those behind it.
"""

import trio

from trio_chat.client.delays import retry_s
from trio_chat.client.pacer import Pacer
from trio_chat.client.requests import Request, Requests
from trio_chat.wire.messages import Command, Error

__all__ = ["Backlog"]


class Backlog:
    """`changed` is set when there may be more to send; `exists` is true while requests may wait."""

    def __init__(self, requests: Requests, pacer: Pacer) -> None:
        self.pacer = pacer
        self.exists = False
        self.changed = trio.Event()
        self._requests = requests

    def renew(self) -> trio.Event:
        """Return an event that is set by the next change."""
        self.changed = trio.Event()
        return self.changed

    def admits(self, command: Command) -> bool:
        """Return whether a command may be sent at once."""
        if self.exists:
            return False
        return self.pacer.is_idle or not self.pacer.wait_s(command, trio.current_time())

    def add(self) -> None:
        """Note that a request waits to be sent."""
        self.exists = True
        self.changed.set()

    def count(self, request: Request) -> None:
        """Count a request as sent on the present connection."""
        request.is_sent = True
        if not self.pacer.is_idle:
            self.pacer.send(request.command, trio.current_time())

    def answer(self, request: Request) -> None:
        """Count a request as answered, which may let others be sent."""
        if self.pacer.is_idle:
            return
        self.pacer.answer(request.command, trio.current_time())
        if self.exists:
            self.changed.set()

    def put_off(self, refusal: Error) -> bool:
        """Take a `rate_limited` answer. Return whether the request will be sent again later."""
        request = self._requests.find(refusal.ref)
        if request is None or request.then is not None:
            return False
        now = trio.current_time()
        if not self.pacer.refuse(request.command, retry_s(refusal.retry_after_s), now):
            return False
        if request.is_given_up:
            return False  # `answer` counts it
        self.pacer.answer(request.command, now)
        request.is_sent = False
        self.add()
        return True

    def lose(self) -> None:
        """Note that the connection is lost: requests wait until the next connection has sent the backlog."""
        self.exists = True
        self.pacer.lose(trio.current_time())
