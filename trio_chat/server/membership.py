"""The handlers of `join` and `leave`, which set a session's cursor in a room and remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.errors import BadMessage, Refused, StoreError
from trio_chat.hub.names import Name, prepare_room
from trio_chat.server.fanout import send_unsent
from trio_chat.wire import messages as m
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import UNSET

if TYPE_CHECKING:
    from trio_chat.hub.members import Attachment
    from trio_chat.server.session import Session
    from trio_chat.server.stream import RoomStream

__all__ = ["join", "leave"]


async def join(session: Session, attachment: Attachment[Session], command: m.Join) -> None:
    """Reply with `room` and start to send the room's entries, in one step."""
    server = session.server
    if (command.after is UNSET) != (not command.epoch):
        missing = "epoch" if command.epoch == "" else "after"
        raise BadMessage("after and epoch must be given together", field=missing)
    session.check_rate(attachment, "rooms")
    name = prepare_room(command.room)
    server.hub.check_join(attachment, name)
    stream = server.streams.use_open(name)
    if stream is None:
        try:
            stream = await session.wait_for(server.streams.use(name))
        except StoreError as error:
            raise Refused("unavailable", f"cannot read the journal: {error}") from error
        if session.ended_with is not None:
            server.streams.release(stream)
            return
    room, is_new = server.hub.join(attachment, Name(stream.shown, stream.key))
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
    session.outbound.subscribe(stream, _start(session, stream, command, first, resumed))
    session.outbound.flush()
    if is_new:
        server.presence.changed(room)


def _is_good_cursor(command: m.Join, stream: RoomStream) -> bool:
    """Return whether `after` is a sequence number of the room's history, or 0, at which every history begins.

    A room without entries has a new epoch each time it is opened. A client that has seen no entry yet could
    not resume there if 0 needed the same epoch.
    """
    if command.after is UNSET or command.after > stream.head:
        return False
    return command.after == 0 or command.epoch == stream.epoch


def _start(session: Session, stream: RoomStream, command: m.Join, first: int, resumed: bool) -> int:
    """Return the number after which the replay begins.

    For a `join` with `after`, send a `gap` for the entries that the replay leaves out.
    """
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
    """Leave a room, after the session's drafts are settled and all earlier entries are sent."""
    server = session.server
    session.check_rate(attachment, "rooms")
    stream = server.streams[server.hub.room_of(attachment, command.room).key]
    await session.wait_for(session.settle())
    outbound = session.outbound
    head = stream.head
    while not session.is_ending and outbound.is_behind(stream, head):
        if outbound.live:
            send_unsent(stream, outbound)
        else:
            outbound.flush()
            await session.wait_for(outbound.wait_progress(), earns_credit=False)  # the peer does not read
    if session.is_ending:
        return
    outbound.unsubscribe(stream)
    room = attachment.rooms[stream.key]
    if server.hub.leave(attachment, room, "left"):
        server.presence.changed(room)
    server.streams.release(stream)
    if command.ref:
        outbound.send(encode(m.Ack(command.ref, stream.shown)))
