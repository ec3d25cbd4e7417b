"""Bugs to find, applied in memory: no file of the server is changed."""

from typing import Any

import pytest

from trio_chat.server.outbound import OutboundQueue

__all__ = ["forget_rests", "skip_entries"]


def forget_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a partial send as complete: the rest of a frame is missing."""
    sound = OutboundQueue.fall_behind

    def forgetful(self: OutboundQueue, data: bytes, sent: int, *more: Any) -> None:
        sound(self, data, len(data) if sent else 0, *more)

    monkeypatch.setattr(OutboundQueue, "fall_behind", forgetful)


def skip_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip a room's entries from the fifth on for a session that is behind, and count them as sent."""
    sound = OutboundQueue._send_batch

    def careless(self: OutboundQueue, feed: Any, batch: Any) -> None:
        sound(self, feed, batch)
        if self.streams[feed] > 4:
            self._remainder = b""

    monkeypatch.setattr(OutboundQueue, "_send_batch", careless)
