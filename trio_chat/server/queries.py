"""The handlers of `who`, `rooms`, `history` and `search`, which change nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import msgspec

from trio_chat.errors import BadMessage, Refused, StoreError
from trio_chat.hub.names import check_text
from trio_chat.journal.store import Position
from trio_chat.wire import messages as m
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import UNSET

if TYPE_CHECKING:
    from trio_chat.hub.members import Attachment
    from trio_chat.server.session import Session

__all__ = ["history", "rooms", "search", "who"]

_NEXT = re.compile(r"(-?[0-9]{1,16})\.([0-9]{1,16})\.(.+)", re.DOTALL | re.ASCII)

PAGE_BYTES = 60_000  # of a frame's 65,536 bytes; the rest is for the other fields of the reply
ROOMS_PAGE = 200  # 0.2 ms of work
HISTORY_READ_BYTES = 2 << 20  # 200 of the largest entries


def who(session: Session, attachment: Attachment[Session], command: m.Who) -> None:
    server = session.server
    session.check_rate(attachment, "questions")
    stream = server.streams[server.hub.room_of(attachment, command.room).key]
    session.outbound.send(encode(attachment.rooms[stream.key].names(command.after, command.ref)))


def rooms(session: Session, attachment: Attachment[Session], command: m.Rooms) -> None:
    server = session.server
    session.check_rate(attachment, "questions")
    # A room more than fits on a page shows whether more pages follow.
    following = server.hub.rooms_after(command.after, ROOMS_PAGE + 1)
    page: list[m.RoomListing] = []
    left = PAGE_BYTES
    for room in following[:ROOMS_PAGE]:
        listing = m.RoomListing(room.shown, len(room.members), server.streams[room.key].topic)
        left -= len(encode(listing)) + 1
        if left < 0:
            break
        page.append(listing)
    session.outbound.send(encode(m.RoomsPage(page, len(page) < len(following), command.ref)))


async def history(session: Session, attachment: Attachment[Session], command: m.History) -> None:
    """Send a page of a room's published entries.

    When not all of them fit, send the oldest ones if `after` is given, and the newest ones otherwise.
    """
    server = session.server
    if command.before is not UNSET and command.after is not UNSET:
        raise BadMessage("give before or after, not both", field="after")
    session.check_rate(attachment, "questions")
    stream = server.streams[server.hub.room_of(attachment, command.room).key]
    if command.after is not UNSET:
        after, through = command.after, stream.head
    else:
        before = command.before if command.before is not UNSET else stream.head + 1
        through = min(before - 1, stream.head)
        after = max(through - command.limit, 0)
    try:
        page = await session.wait_for(
            server.streams.read(
                stream, after, through, entries_max=command.limit, bytes_max=HISTORY_READ_BYTES
            )
        )
    except StoreError as error:
        raise Refused("unavailable", f"cannot read the journal: {error}") from error
    if session.ended_with is not None:
        return  # the room may be closed by now
    if command.after is not UNSET:
        payloads = _fit(page.payloads)
        more = page.first + len(payloads) <= through
    else:
        payloads = _fit(page.payloads[::-1])[::-1]
        # When the page begins later than requested, the journal has removed the entries before it.
        more = page.first == after + 1 or len(payloads) < len(page.payloads)
        more = more and page.last + 1 - len(payloads) > server.streams.first(stream)
    # The payloads are encoded entries, which go into the reply unchanged.
    entries = cast("list[m.Said | m.TopicChanged]", [msgspec.Raw(payload) for payload in payloads])
    session.outbound.send(encode(m.HistoryPage(stream.shown, entries, more, command.ref)))


async def search(session: Session, attachment: Attachment[Session], command: m.Search) -> None:
    """Send a page of the newest published entries that contain a text, from the session's own rooms."""
    server = session.server
    session.check_rate(attachment, "questions")
    check_text(command.text, server.limits.text_bytes, server.limits.text_lines)
    keys = [server.hub.room_of(attachment, command.room).key] if command.room else list(attachment.rooms)
    heads = {key: server.streams[key].head for key in keys}
    below = _parse_position(command.next) if command.next else None
    if command.before is not UNSET:
        if command.room:
            heads = {key: min(head, command.before - 1) for key, head in heads.items()}
        elif below is None or command.before <= below.at:
            below = Position(command.before - 1, "", 0)
    try:
        found = await session.wait_for(
            server.store.search(
                heads, command.text, below, command.limit, is_abandoned=lambda: session.ended_with is not None
            )
        )
    except StoreError as error:
        raise Refused("unavailable", f"cannot read the journal: {error}") from error
    if session.ended_with is not None:
        return
    payloads = _fit([hit.payload for hit in found.hits])
    rest = found.rest if len(payloads) == len(found.hits) else found.hits[len(payloads) - 1].position
    entries = cast("list[m.Said | m.TopicChanged]", [msgspec.Raw(payload) for payload in payloads])
    following = f"{rest.at}.{rest.seq}.{rest.room}" if rest is not None else ""
    session.outbound.send(encode(m.Found(entries, rest is not None, command.ref, following)))


def _parse_position(following: str) -> Position:
    """Return the position for the `next` of an earlier reply. Raises `BadMessage`."""
    found = _NEXT.fullmatch(following)
    if found is None:
        raise BadMessage("invalid next: expected the next of an earlier reply", field="next")
    return Position(int(found[1]), found[3], int(found[2]))


def _fit(payloads: list[bytes]) -> list[bytes]:
    """Return as many payloads as fit into one frame, from the front."""
    left = PAGE_BYTES
    for count, payload in enumerate(payloads):
        left -= len(payload) + 1
        if left < 0:
            return payloads[:count]
    return payloads
