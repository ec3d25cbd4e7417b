"""The text beside each row of the drawing: the hosts and their actions, with equal actions joined."""

from __future__ import annotations

from trio_chat.testing.chat.plan import SERVER
from trio_chat.testing.picture.events import Message, Point, RunPicture
from trio_chat.testing.picture.layout import Layout

__all__ = ["words_of_rows"]

NAMED_MAX = 4
_SILENT = ("accept", "breach", "delivered", "sent")


def words_of_rows(scene: RunPicture, layout: Layout) -> dict[int, str]:
    """Return the words beside each row that has some."""
    rows: dict[int, dict[str, list[str]]] = {}  # by row and action: the hosts that do it, or its targets

    def add(point: Point, what: str, host: str) -> None:
        rows.setdefault(layout.row(point), {}).setdefault(what, []).append(host)

    for point in scene.points:
        if point.what.startswith("fault "):
            add(point, point.words, "")
    for message in scene.messages:
        if message.source == SERVER:
            add(message.sent, f"to {{}}: {message.words}", message.target)
        else:
            add(message.sent, f"{{}}: {message.words}", message.source)
    for point, sent_at in _late(scene.messages).items():
        add(point, f"{{}}: reads what was sent at {sent_at:.3f}", point.host)
    for point in scene.points:
        if point.what not in _SILENT and not point.what.startswith("fault "):
            add(point, f"{{}}: {point.words}", point.host)
    return {
        row: " · ".join(what.replace("{}", _names(hosts), 1) for what, hosts in done.items())
        for row, done in rows.items()
    }


def _late(messages: list[Message]) -> dict[Point, float]:
    """Return the send time of messages read at a later time, by the point of the read: of the first such
    message."""
    late: dict[Point, float] = {}
    for message in messages:
        if message.read is not None and message.read.time != message.sent.time:
            late.setdefault(message.read, message.sent.time)
    return late


def _names(hosts: list[str]) -> str:
    hosts = list(dict.fromkeys(hosts))
    if len(hosts) <= NAMED_MAX:
        return ", ".join(hosts)
    return f"{', '.join(hosts[: NAMED_MAX - 1])} and {len(hosts) - NAMED_MAX + 1} more"
