"""Mistakes on the way out: who is handed what, when, and what of it was taken."""

from tests.mutants.mutant import Edit, Mutant

__all__ = ["HANDING"]

FANOUT = "trio_chat.server.fanout"
OWED = "trio_chat.server.outbound:OutboundQueue"
TAIL = "trio_chat.server.stream"

HANDING = (
    Mutant(
        "partial-send",
        "a non-blocking send that was taken in part counts as done; the rest is forgotten",
        (Edit(f"{FANOUT}:send_batch", "if sent != len(data):", "if not sent:"),),
    ),
    Mutant(
        "second-part",
        "when a socket takes only some of the answers, the batch joined to them is forgotten",
        (
            Edit(
                f"{FANOUT}:send_batch",
                "outbound.fall_behind(data[:own], sent, packed)",
                "outbound.fall_behind(data[:own], sent)",
            ),
        ),
    ),
    Mutant(
        "catch-up-late",
        "who reads on in the middle of a batch begins one entry too late",
        (
            Edit(
                f"{TAIL}:Batch.packed",
                "return packing.pack(self.payloads[after + 1 - self.first :])",
                "return packing.pack(self.payloads[after + 2 - self.first :])",
            ),
        ),
    ),
    Mutant(
        "catch-up-early",
        "who reads on in the middle of a batch begins one entry too early",
        (
            Edit(
                f"{TAIL}:Batch.packed",
                "return packing.pack(self.payloads[after + 1 - self.first :])",
                "return packing.pack(self.payloads[after - self.first :])",
            ),
        ),
    ),
    Mutant(
        "live-while-handing",
        "who goes live while a batch is on its way in chunks is handed it as well, having read it already",
        (
            Edit(
                f"{OWED}._go_live",
                "stream.live[self] = None",
                """
                stream.live[self] = None
                if stream.unsent:
                    stream.unsent[self] = None
                """,
            ),
        ),
    ),
    Mutant(
        "behind-while-handing",
        "who falls behind while a batch is on its way in chunks counts as having seen it",
        (
            Edit(
                f"{TAIL}:RoomStream.cursor",
                "return self.tail[-1].first - 1 if outbound in self.unsent else self.head",
                "return self.head",
            ),
        ),
    ),
    Mutant(
        "handed-when-gone",
        "who leaves or falls behind while a batch is on its way in chunks is handed it all the same",
        (Edit(f"{TAIL}:RoomStream.remove", "self.unsent.pop(outbound, None)", "pass"),),
    ),
    Mutant(
        "replay-and-live",
        "a joiner who begins behind is in the live set at once: shown live what the replay brings again",
        (
            Edit(
                f"{OWED}.subscribe",
                """
                self.fall_behind(b"", 0)
                self._seen_notices[stream] = stream.notices
                """,
                """
                self.fall_behind(b"", 0)
                self._seen_notices[stream] = stream.notices
                stream.live[self] = None
                """,
            ),
        ),
    ),
    Mutant(
        "entries-before-answers",
        "who is behind is sent what the rooms have said before its answers, so also before `room`",
        (
            Edit(
                f"{OWED}._drain",
                """
                if self.replies:
                    self._remainder = self.take_replies()
                elif stream := self._next_stream():
                    batch = stream.after(self.streams[stream])
                    if batch is None:
                        return stream
                    self._send_batch(stream, batch)
                """,
                """
                if stream := self._next_stream():
                    batch = stream.after(self.streams[stream])
                    if batch is None:
                        return stream
                    self._send_batch(stream, batch)
                elif self.replies:
                    self._remainder = self.take_replies()
                """,
            ),
        ),
    ),
    Mutant(
        "slowest-first",
        "the fan-out waits for those whose sockets are full before the next batch is committed",
        (
            Edit(
                f"{FANOUT}:publish",
                """
                if len(stream.live) <= sends_at_once:
                    send_batch(stream.live, batch)
                    return
                """,
                """
                if len(stream.live) <= sends_at_once:
                    audience = list(stream.live)
                    send_batch(stream.live, batch)
                    for outbound in audience:
                        await outbound.wait_sent()
                    return
                """,
            ),
        ),
    ),
    Mutant(
        "missed-notices",
        "who was behind is not told who is here, though it missed a notice of presence",
        (
            Edit(
                f"{OWED}._send_missed_presence",
                "if notices != stream.notices:",
                "if notices > stream.notices:",
            ),
        ),
    ),
    Mutant(
        "no-wake-up",
        "the writer does not report its progress: a task that waits for it waits until it ends",
        (
            Edit(
                f"{OWED}.catch_up",
                """
                self._writing = False
                self.notify()
                """,
                "self._writing = False",
            ),
        ),
    ),
)
