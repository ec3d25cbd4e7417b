"""Mutants of membership: hello, join, leave, the ends of sessions and of the server."""

from tests.mutants.mutant import Edit, Mutant

__all__ = ["COMING"]

SESSION = "trio_chat.server.session:Session"
SERVER = "trio_chat.server.serve:Server"
HUB = "trio_chat.hub.hub:Hub"
LEAVE = "trio_chat.server.membership:leave"

COMING = (
    Mutant(
        "acked-leave",
        "a `leave` is acked before the session's messages are settled: entries arrive after its own leave",
        (
            Edit(
                LEAVE,
                "await session.wait_for(session.settle())",
                """
                if command.ref:
                    session.outbound.send(encode(m.Ack(command.ref, stream.shown)))
                await session.wait_for(session.settle())
                """,
            ),
            Edit(
                LEAVE,
                """
                if command.ref:
                    outbound.send(encode(m.Ack(command.ref, stream.shown)))
                """,
                "pass",
            ),
        ),
    ),
    Mutant(
        "epoch-ignored",
        "a returning client is resumed by the number alone, even when the epoch has changed",
        (
            Edit(
                "trio_chat.server.membership:_is_good_cursor",
                "return command.after == 0 or command.epoch == stream.epoch",
                "return True",
            ),
        ),
    ),
    Mutant(
        "epoch-of-before",
        "after a machine's crash the first reply to a `join` names the room's epoch from before the crash",
        (
            Edit(
                "trio_chat.server.membership:join",
                "first = server.streams.first(stream)",
                """
                first = server.streams.first(stream)
                known = server.streams._store.__dict__.setdefault("_named", {})
                before, named = known.get(stream.key, (server, ""))
                known[stream.key] = server, stream.epoch
                """,
            ),
            Edit(
                "trio_chat.server.membership:join",
                "epoch=stream.epoch,",
                "epoch=stream.epoch if before is server else named,",
            ),
        ),
    ),
    Mutant(
        "zero-needs-epoch",
        "`after` 0 is rejected as a cursor in another epoch, and entries said meanwhile are never sent",
        (
            Edit(
                "trio_chat.server.membership:_is_good_cursor",
                "return command.after == 0 or command.epoch == stream.epoch",
                "return command.epoch == stream.epoch",
            ),
        ),
    ),
    Mutant(
        "void-cursor-in-silence",
        "a client with a cursor of another history gets no gap for the entries of the new one that it is not sent",
        (
            Edit(
                "trio_chat.server.membership:_start",
                "start = command.after if resumed else 0",
                "start = command.after if resumed else max(at_most, recent)",
            ),
        ),
    ),
    Mutant(
        "leave-at-once",
        "a `leave` does not wait until the entries published before it have been sent",
        (
            Edit(
                LEAVE,
                "while not session.is_ending and outbound.is_behind(stream, head):",
                "while False:",
            ),
        ),
    ),
    Mutant(
        "name-not-freed",
        "a handshake that fails before the first room leaves its name taken",
        (Edit(f"{SESSION}.end", "if attachment is not None:", "if attachment is not None and streams:"),),
    ),
    Mutant(
        "awaits-first",
        "a session's task awaits once before its cleanup: when cancelled, it does no cleanup",
        (
            Edit(
                f"{SESSION}.run",
                """
                self.end(CONNECTION_LOST)
                self.outbound.link.close()
                """,
                """
                await trio.lowlevel.checkpoint()
                self.end(CONNECTION_LOST)
                self.outbound.link.close()
                """,
            ),
        ),
    ),
    Mutant(
        "told-twice",
        "a connection that breaks while its session ends counts as a second departure: RST and the sweep meet",
        (
            Edit(
                f"{SESSION}.end",
                "attachment, self.attachment = self.attachment, None",
                "attachment = self.attachment",
            ),
            Edit(
                f"{SESSION}.connection_lost",
                "self.end(CONNECTION_LOST)",
                """
                if self.attachment is not None:
                    self.server.detach(self.attachment, CONNECTION_LOST.why)
                self.end(CONNECTION_LOST)
                """,
            ),
            Edit(
                f"{HUB}.detach",
                """
                if attachment not in member.attachments:
                    return []
                """,
                """
                if attachment not in member.attachments:
                    for room in attachment.rooms.values():
                        room._note(member, member.name.shown).why = why
                    return list(attachment.rooms.values())
                """,
            ),
            Edit(
                f"{HUB}.detach",
                "member.attachments.remove(attachment)",
                """
                attachment.rooms = {room.key: room for room in changed}
                member.attachments.remove(attachment)
                """,
            ),
        ),
    ),
    Mutant(
        "late-cleanup",
        "an ended session frees its name a second time, by name: even when another session holds it by now",
        (
            Edit(
                f"{SESSION}.end",
                """
                if self.ended_with is not None:
                    return
                self.ended_with = disconnect
                attachment, self.attachment = self.attachment, None
                """,
                """
                attachment = self.attachment
                if self.ended_with is not None:
                    if attachment is not None:
                        self.server.hub._names.pop(attachment.member.name.key, None)
                    return
                self.ended_with = disconnect
                """,
            ),
        ),
    ),
    Mutant(
        "old-returns-told",
        "a session that joins a room is sent returns that the others were sent long before",
        (
            Edit(
                "trio_chat.server.presence:PresenceNotifier._notify_room",
                "large = room.large",
                """
                left = self.__dict__.setdefault("_left", {}).setdefault(key, {})
                left.update((each.name, each) for each in notice.left)
                large = room.large
                """,
            ),
            Edit(
                "trio_chat.server.membership:join",
                "session.outbound.flush()",
                """
                left = server.presence.__dict__.get("_left", {}).get(stream.key, {})
                names = [each.name.shown for each in room.members if each.name.shown in left]
                if came and names:
                    gone = [left[name] for name in names]
                    count = len(room.members) - 1
                    session.outbound.send(encode(m.Presence(stream.shown, count, names, gone)))
                session.outbound.flush()
                """,
            ),
        ),
    ),
    Mutant(
        "drain-forgets",
        "a drain notifies only the sessions that keep up; sessions that are behind are cut off at its deadline",
        (
            Edit(
                f"{SERVER}._drain",
                """
                for session in list(self._sessions):
                    session.drain()
                """,
                """
                for session in list(self._sessions):
                    if session.outbound.live:
                        session.drain()
                """,
            ),
        ),
    ),
    Mutant(
        "newest-replaced",
        "the session over the limit ends itself instead of the oldest",
        (
            Edit(
                f"{HUB}.attach",
                "member.attachments.append(attachment)",
                """
                member.attachments.append(attachment)
                if oldest is not None:
                    oldest = attachment
                """,
            ),
        ),
    ),
)
