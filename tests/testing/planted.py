"""Bugs to look for, in memory only: no file of the server is changed."""

from typing import Any

import pytest

from trio_chat.server.outbound import OutboundQueue

__all__ = ["forget_rests", "skip_entries"]


def forget_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a socket took in part is taken for sent: the rest of a frame is missing."""
    sound = OutboundQueue.fall_behind

    def forgetful(self: OutboundQueue, data: bytes, sent: int, *more: Any) -> None:
        sound(self, data, len(data) if sent else 0, *more)

    monkeypatch.setattr(OutboundQueue, "fall_behind", forgetful)


def skip_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is behind is not sent what its rooms have said from the fifth entry on, and takes it for sent."""
    sound = OutboundQueue._send_batch

    def careless(self: OutboundQueue, feed: Any, batch: Any) -> None:
        sound(self, feed, batch)
        if self.streams[feed] > 4:
            self._remainder = b""

    monkeypatch.setattr(OutboundQueue, "_send_batch", careless)
