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
    from trio_chat.hub.members import Attachment
    from trio_chat.server.session import Session
    from trio_chat.server.stream import RoomStream

__all__ = ["join", "leave"]


async def join(session: Session, attachment: Attachment[Session], command: m.Join) -> None:
    """Answer `room` and begin what it promises, in one step."""
    server = session.server
    if (command.after is UNSET) != (not command.epoch):
        raise BadMessage("after and epoch go together", field="epoch" if command.epoch == "" else "after")
    session.check_rate(attachment, "rooms")
    name = prepare_room(command.room)
    server.hub.check_join(attachment, name)
    stream = server.streams.use_open(name)
    if stream is None:
        try:
            stream = await session.wait_for(server.streams.use(name))
        except StoreError as error:
            raise Refused("unavailable", f"the journal cannot be read: {error}") from error
        if session.over is not None:
            server.streams.release(stream)
            return
    room, came = server.hub.join(attachment, Name(stream.shown, stream.key))
    first = server.streams.first(stream)
    resumed = _is_good_cursor(command, stream)
    session.outbound.send(
        encode(
            m.Room(
                room=stream.shown,
                epoch=stream.epoch,
                resumed=resumed,
                first=first,
                head=stream.head,
                members=len(room.members),
                topic=stream.topic,
                ref=command.ref,
            )
        )
    )
    session.outbound.enter(stream, _start(session, stream, command, first, resumed))
    session.outbound.flush()
    if came:
        server.presence.changed(room)


def _is_good_cursor(command: m.Join, stream: RoomStream) -> bool:
    """Return whether `after` is a number of the room's history, or 0, where every history begins.

    A room in which nothing was said yet has a new epoch each time it is opened, so a client that has seen
    nothing could not resume otherwise.
    """
    if command.after is UNSET or command.after > stream.head:
        return False
    return command.after == 0 or command.epoch == stream.epoch


def _start(session: Session, stream: RoomStream, command: m.Join, first: int, resumed: bool) -> int:
    """Return the number behind which the replay begins. A `join` with `after` is sent a `gap` for each
    entry that the replay leaves out."""
    head = stream.head
    recent = head if command.recent is UNSET else head - command.recent
    at_most = 0 if command.limit is UNSET else head - command.limit
    if command.after is UNSET:
        return max(recent, at_most, first - 1)
    start = command.after if resumed else 0
    if not resumed or (start < first - 1 and command.recent is not UNSET):
        at_most = max(recent, at_most)
    for bound, kept in ((first - 1, False), (at_most, True)):
        if start < bound:
            session.outbound.send(encode(m.Gap(stream.shown, start, bound + 1, kept)))
            start = bound
    return start


async def leave(session: Session, attachment: Attachment[Session], command: m.Leave) -> None:
    """Leave once all that was said before is settled and all that was shown before has been handed over."""
    server = session.server
    session.check_rate(attachment, "rooms")
    stream = server.streams[server.hub.room_of(attachment, command.room).key]
    await session.wait_for(session.settle())
    outbound = session.outbound
    head = stream.head
    while session.over is None and not session.draining and outbound.behind(stream, head):
        if outbound.live:
            hand_late(stream, outbound)
        else:
            outbound.flush()
            await session.wait_for(outbound.wait_progress(), is_excuse=False)  # the peer does not read
    if session.over is not None or session.draining:
        return
    outbound.exit(stream)
    room = attachment.rooms[stream.key]
    if server.hub.leave(attachment, room, "left"):
        server.presence.changed(room)
    server.streams.release(stream)
    if command.ref:
        outbound.send(encode(m.Ack(command.ref, stream.shown)))
