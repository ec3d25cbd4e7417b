"""Coming into rooms and leaving them: where a session's cursor is set, and where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.errors import BadMessage, Refused, StoreError
from trio_chat.hub.names import Name, prepare_room
from trio_chat.server.fanout import hand_late
from trio_chat.wire import messages as m
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import UNSET

if TYPE_CHECKING:
    from trio_chat.hub.members import Seat
    from trio_chat.server.session import Session
    from trio_chat.server.stream import Feed

__all__ = ["join", "leave"]


async def join(session: Session, seat: Seat[Session], command: m.Join) -> None:
    """Answer `room` and begin what it promises, in one step."""
    server = session.server
    if (command.after is UNSET) != (not command.epoch):
        raise BadMessage("after and epoch go together", field="epoch" if command.epoch == "" else "after")
    session.check_rate(seat, "rooms")
    name = prepare_room(command.room)
    server.hub.check_join(seat, name)
    feed = server.feeds.use_open(name)
    if feed is None:
        try:
            feed = await session.wait_for(server.feeds.use(name))
        except StoreError as error:
            raise Refused("unavailable", f"the journal cannot be read: {error}") from error
        if session.over is not None:
            server.feeds.release(feed)
            return
    room, came = server.hub.join(seat, Name(feed.shown, feed.key))
    first = server.feeds.first(feed)
    resumed = _is_good_cursor(command, feed)
    session.owed.answer(
        encode(
            m.Room(
                room=feed.shown,
                epoch=feed.epoch,
                resumed=resumed,
                first=first,
                head=feed.head,
                members=len(room.members),
                topic=feed.topic,
                ref=command.ref,
            )
        )
    )
    session.owed.enter(feed, _start(session, feed, command, first, resumed))
    session.owed.flush()
    if came:
        server.notices.changed(room)


def _is_good_cursor(command: m.Join, feed: Feed) -> bool:
    """Return whether `after` is a number of the room's history, or 0, where every history begins.

    A room in which nothing was said yet has a new epoch each time it is opened, so a client that has seen
    nothing could not resume otherwise.
    """
    if command.after is UNSET or command.after > feed.head:
        return False
    return command.after == 0 or command.epoch == feed.epoch


def _start(session: Session, feed: Feed, command: m.Join, first: int, resumed: bool) -> int:
    """Return the number behind which the replay begins. A `join` with `after` is sent a `gap` for each
    entry that the replay leaves out."""
    head = feed.head
    recent = head if command.recent is UNSET else head - command.recent
    at_most = 0 if command.limit is UNSET else head - command.limit
    if command.after is UNSET:
        return max(recent, at_most, first - 1)
    start = command.after if resumed else 0
    if not resumed or (start < first - 1 and command.recent is not UNSET):
        at_most = max(recent, at_most)
    for bound, kept in ((first - 1, False), (at_most, True)):
        if start < bound:
            session.owed.answer(encode(m.Gap(feed.shown, start, bound + 1, kept)))
            start = bound
    return start


async def leave(session: Session, seat: Seat[Session], command: m.Leave) -> None:
    """Leave once all that was said before is settled and all that was shown before has been handed over."""
    server = session.server
    session.check_rate(seat, "rooms")
    feed = server.feeds[server.hub.room_of(seat, command.room).key]
    await session.wait_for(session.settle())
    owed = session.owed
    head = feed.head
    while session.over is None and not session.draining and owed.behind(feed, head):
        if owed.live:
            hand_late(feed, owed)
        else:
            owed.flush()
            await session.wait_for(owed.moved(), is_excuse=False)  # the peer does not read
    if session.over is not None or session.draining:
        return
    owed.exit(feed)
    room = seat.rooms[feed.key]
    if server.hub.leave(seat, room, "left"):
        server.notices.changed(room)
    server.feeds.release(feed)
    if command.ref:
        owed.answer(encode(m.Ack(command.ref, feed.shown)))
