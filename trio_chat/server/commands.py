"""The handlers of all commands.

A handler may wait first. It then decides and applies the command in one step, without a checkpoint. After
each wait it checks whether the session has ended. It refuses a command by raising `Refused`, and the session
sends the error.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, assert_never

import trio

from trio_chat.errors import BadMessage, FrameError, Refused
from trio_chat.hub.names import check_text, prepare_name
from trio_chat.journal.store import Draft
from trio_chat.server.disconnect import disconnect_for
from trio_chat.server.fanout import send_batch
from trio_chat.server.membership import join, leave
from trio_chat.server.queries import history, rooms, search, who
from trio_chat.server.stream import Batch
from trio_chat.wire import messages as m
from trio_chat.wire.codec import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trio_chat.dialects import Control
    from trio_chat.hub.members import Attachment
    from trio_chat.server.session import Session
    from trio_chat.server.stream import RoomStream

__all__ = ["execute", "group_says", "submit_all"]

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,64}")
SAY_RUN_MAX = 16  # `say` commands between two readings of the clock; each takes little time
TYPING_S = 1.0  # each session may send one typing notice in this time


async def execute(session: Session, command: m.Command) -> None:
    """Execute one command. Raises `Refused` and `BadMessage`, for which the session sends an error."""
    attachment = session.attachment
    if attachment is None:
        if not isinstance(command, m.Hello):
            raise BadMessage("the first command must be hello", field="type")
        hello(session, command)
        return
    match command:
        case m.Say() | m.Topic():
            await session.wait_for(session.server.committer.wait_capacity())
            if session.ended_with is None:
                submit_all(session, attachment, [command])
        case m.Ping():
            session.outbound.send(encode(m.Pong(command.n, command.ref)))
        case m.Join():
            await join(session, attachment, command)
        case m.Leave():
            await leave(session, attachment, command)
        case m.Whisper():
            whisper(session, attachment, command)
        case m.Rename():
            rename(session, attachment, command)
        case m.Who():
            who(session, attachment, command)
        case m.Rooms():
            rooms(session, attachment, command)
        case m.History():
            await history(session, attachment, command)
        case m.Search():
            await search(session, attachment, command)
        case m.Typing():
            typing(session, attachment, command)
        case m.Quit():
            await session.wait_for(session.settle())
            session.end(disconnect_for("quit", "goodbye", ref=command.ref))
        case m.Hello():
            raise BadMessage("hello was already sent", field="type")
        case _:
            assert_never(command)


def hello(session: Session, command: m.Hello) -> None:
    server = session.server
    token = command.token
    if not token:
        token = urlsafe_b64encode(server.random_bytes(24)).decode()
    elif not _TOKEN.fullmatch(token):
        raise BadMessage("invalid token: expected 22 to 64 characters of base64url", field="token")
    now = trio.current_time()
    attachment, oldest = server.hub.attach(
        session,
        sha256(token.encode()).hexdigest(),
        prepare_name(command.name),
        prefix=session.prefix,
        now=now,
        late=server.lateness.total(now),
    )
    session.attachment = attachment
    session.welcomed()
    session.outbound.send(
        encode(server.welcome(attachment.member.name.shown, session.number, token, command.ref))
    )
    if oldest is not None:
        detail = "this member has too many sessions; the oldest is closed"
        oldest.session.end(disconnect_for("replaced", detail))


def group_says(
    commands: Iterator[m.Command | BadMessage | Control | None],
) -> Iterator[m.Command | BadMessage | Control | list[m.Say] | None]:
    """Yield each command as it arrives, and consecutive `say` commands as lists of at most SAY_RUN_MAX."""
    run: list[m.Say] = []
    try:
        for command in commands:
            if type(command) is m.Say:
                run.append(command)
                if len(run) == SAY_RUN_MAX:
                    yield run
                    run = []
            else:
                if run:
                    yield run
                    run = []
                yield command
    except FrameError:
        if run:
            yield run  # these commands arrived before the broken frame
        raise
    if run:
        yield run


def submit_all(session: Session, attachment: Attachment[Session], commands: Sequence[m.Say | m.Topic]) -> int:
    """Submit texts or topics to the committer until its queue is full, and refuse the invalid ones.

    Return how many were submitted or refused. Values that they share are looked up only once.
    """
    server = session.server
    committer = server.committer
    bytes_max, lines_max = server.limits.text_bytes, server.limits.text_lines
    has_rates = server.hub.has_rates
    by, token = attachment.member.name.shown, attachment.member.token
    stream: RoomStream | None = None
    called = ""
    for done, command in enumerate(commands):
        if committer.full:
            return done
        text = command.text
        ref = command.ref
        try:
            if has_rates:
                session.check_rate(attachment, "talk", text)
            check_text(text, bytes_max, lines_max)
            if stream is None or command.room != called:
                stream = server.streams.open[server.hub.room_of(attachment, command.room).key]
                called = command.room
            key = token + ref if ref else ""
            if type(command) is m.Say:
                draft = Draft(stream.key, stream.shown, by, text, ref, key, command.action)
            else:
                draft = Draft(stream.key, stream.shown, by, text, ref, key, is_topic=True)
            committer.submit(stream, draft, session)
        except Refused as refusal:
            session.refuse(refusal, ref)
        else:
            session.unsettled += 1
    return len(commands)


def whisper(session: Session, attachment: Attachment[Session], command: m.Whisper) -> None:
    """Send a private message to all sessions of both members.

    It counts as delivered when at least one session of the receiver can take it.
    """
    server = session.server
    session.check_rate(attachment, "talk", command.text)
    check_text(command.text, server.limits.text_bytes, server.limits.text_lines)
    try:
        other = server.hub.find(prepare_name(command.to))
    except Refused as refusal:
        raise Refused("no_such_name", refusal.detail, field="to") from None
    me = attachment.member
    whispered = encode(m.Whispered(me.name.shown, other.name.shown, command.text, server.clock_ms()))
    sent = [
        _send_private(server.limits.answers_bytes, target, whispered) for target in list(other.attachments)
    ]
    if not any(sent):
        raise Refused("unavailable", f"{other.name.shown} is not reading at the moment")
    if other is not me:
        for target in list(me.attachments):
            _send_private(server.limits.answers_bytes, target, whispered)
    if command.ref:
        session.outbound.send(encode(m.Ack(command.ref)))


def _send_private(replies_bytes_max: int, attachment: Attachment[Session], payload: bytes) -> bool:
    outbound = attachment.session.outbound
    if outbound.replies_bytes >= replies_bytes_max:
        return False
    outbound.send(payload)
    outbound.flush()
    return True


def rename(session: Session, attachment: Attachment[Session], command: m.Rename) -> None:
    server = session.server
    session.check_rate(attachment, "talk")
    for room in server.hub.rename(attachment.member, prepare_name(command.name)):
        server.presence.changed(room)
    shown = attachment.member.name.shown
    session.outbound.send(encode(m.Named(shown, command.ref)))
    named = encode(m.Named(shown))
    for target in list(attachment.member.attachments):
        if target is not attachment:
            _send_private(server.limits.answers_bytes, target, named)


def typing(session: Session, attachment: Attachment[Session], command: m.Typing) -> None:
    # Typing is not charged to any rate, so it must be cheap: this check comes before the lookup of the room.
    # Large rooms get no typing notices, where they would be noise.
    now = trio.current_time()
    if now - session.typed_at < TYPING_S:
        return
    session.typed_at = now
    server = session.server
    room = server.hub.room_of(attachment, command.room)
    if room.large:
        return
    stream = server.streams[room.key]
    notice = Batch(0, [encode(m.TypingNotice(stream.shown, attachment.member.name.shown))])
    mine = {own.session.outbound for own in attachment.member.attachments}
    send_batch([outbound for outbound in stream.live if outbound not in mine], notice)
