"""A user with unexpected events, and with a closed connection."""

import socket

from loadtest.recorder import Recorder
from loadtest.stats import Stats
from loadtest.transport import SocketTransport
from trio_chat.client.inbox import Inbox
from trio_chat.contract import Judge
from trio_chat.wire.messages import Said, TopicChanged


class _Chat:
    """The part of a Chat that a recorder needs."""

    def __init__(self) -> None:
        self.inbox = Inbox()

    def unexpected_entries(self) -> list[Said | TopicChanged]:
        unexpected = list(self.inbox.strays)
        self.inbox.strays.clear()
        return unexpected


async def test_entries_after_leaving_are_late_in_any_batching() -> None:
    judge = Judge()
    recorder = Recorder(judge, Stats(), "u0", "room0")
    recorder.chat = chat = _Chat()  # type: ignore[assignment]
    judge.asks("room0", "u0")
    recorder.start_visit(judge.entered("room0", "u0", epoch="e", head=0, members=1))
    chat.inbox.enter("room0", 0)
    for seq in range(1, 6):
        judge.says("room0", "u1", str(seq))
        if seq == 3:
            chat.inbox.leave("room0")
        chat.inbox.put_entry(Said("room0", seq, 0, "u1", str(seq)), keep=True)
        if seq != 2:  # entries from before and after leaving arrive in one batch
            recorder.record(chat.inbox.take_all())
    assert [breach.words for breach in judge.findings.breaches] == [
        f"u0 was shown room0 {seq} after leaving at 2" for seq in (3, 4, 5)
    ]


async def test_ending_a_closed_connection_is_no_error() -> None:
    for close in (SocketTransport.end, SocketTransport.reset):
        ours, theirs = socket.socketpair()
        transport = SocketTransport(ours, "")
        ours.close()
        close(transport)
        theirs.close()
