"""One tree of errors, drawn in its module; what a program and a user are told by each."""

import inspect

import pytest

from trio_chat import errors
from trio_chat.errors import (
    BadMessage,
    CannotConnect,
    CannotStart,
    ChatError,
    ClientError,
    ConnectionLost,
    DeadlockError,
    ForeignServer,
    FrameError,
    JournalInUse,
    JournalToolError,
    JournalUnavailable,
    LinkBroken,
    NotSimulated,
    OutputClosed,
    OutputError,
    PromiseBroken,
    ProtocolError,
    Refused,
    ResourceLeakError,
    ServerChanged,
    SimulationError,
    StoreError,
    WireError,
)

PARENTS = {
    ChatError: Exception,
    WireError: ChatError,
    FrameError: WireError,
    BadMessage: WireError,
    Refused: ChatError,
    StoreError: ChatError,
    LinkBroken: ChatError,
    CannotStart: ChatError,
    JournalInUse: CannotStart,
    JournalUnavailable: CannotStart,
    JournalToolError: ChatError,
    OutputError: ChatError,
    OutputClosed: OutputError,
    SimulationError: ChatError,
    DeadlockError: SimulationError,
    ResourceLeakError: SimulationError,
    PromiseBroken: SimulationError,
    NotSimulated: SimulationError,
    ClientError: ChatError,
    CannotConnect: ClientError,
    ConnectionLost: ClientError,
    ServerChanged: ConnectionLost,
    ProtocolError: ClientError,
    ForeignServer: ProtocolError,
}
OTHER_PARENTS: dict[type, tuple[type, ...]] = {
    LinkBroken: (OSError,),
    OutputError: (OSError,),
    OutputClosed: (BrokenPipeError,),
}


def test_the_tree_is_this_one() -> None:
    defined = {kind for _, kind in inspect.getmembers(errors, inspect.isclass)}
    assert defined == set(PARENTS)
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in defined)
    for kind, parent in PARENTS.items():
        # What a bare socket or a bare file would raise instead is an OSError.
        assert kind.__bases__ == (parent, *OTHER_PARENTS.get(kind, ()))


def test_the_tree_is_drawn_as_it_is() -> None:
    """Each error stands in the drawing, further right than its parent and below it."""
    assert errors.__doc__ is not None
    lines = errors.__doc__.splitlines()

    def place(kind: type[BaseException]) -> tuple[int, int]:
        (found,) = [
            (row, line.index(kind.__name__))
            for row, line in enumerate(lines)
            if kind.__name__ in line.split()
        ]
        return found

    for kind, parent in PARENTS.items():
        if parent is not Exception:
            row, column = place(kind)
            above, left = place(parent)
            assert row > above
            assert column == left + 4


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (FrameError("bad_frame", "invalid frame: length 0"), "invalid frame: length 0"),
        (BadMessage("nested too deeply", field="text", ref="r1"), "nested too deeply"),
        (Refused("name_taken", "that name is taken", field="name"), "that name is taken"),
        (CannotConnect("cannot connect to host:1", code="version"), "cannot connect to host:1"),
        (ConnectionLost("the server is going", code="draining", after_s=3), "the server is going"),
        (LinkBroken("connection lost"), "connection lost"),
        (ResourceLeakError(("2 names", "a pipe")), "leaked: 2 names; a pipe"),
        (DeadlockError("nothing can run", "main\n└ ada"), "nothing can run\nmain\n└ ada"),
    ],
)
def test_a_message_is_what_a_user_is_shown(error: ChatError, shown: str) -> None:
    assert str(error) == shown


def test_a_fault_of_the_wire_carries_the_code_that_answers_it() -> None:
    frame = FrameError("version", "this server speaks version 1", ref="r1")
    assert (frame.code, frame.detail, frame.ref) == ("version", "this server speaks version 1", "r1")
    message = BadMessage("no", field="text")
    assert (message.code, message.detail, message.field, message.ref) == ("bad_message", "no", "text", "")


def test_a_refusal_says_when_it_may_work() -> None:
    refused = Refused("rate_limited", "too fast", retry_after_s=2)
    assert (refused.code, refused.field, refused.retry_after_s) == ("rate_limited", "", 2)
    assert Refused("unavailable", "no").retry_after_s is None


def test_a_lost_connection_says_whether_to_come_back() -> None:
    lost = ConnectionLost("kicked", code="kicked", reconnect=False)
    assert (lost.code, lost.reconnect, lost.after_s) == ("kicked", False, 0)
    assert ConnectionLost("gone").reconnect


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ChatError, 1),
        (CannotStart, 2),
        (JournalInUse, 2),
        (JournalUnavailable, 75),
        (CannotConnect, 3),
        (ConnectionLost, 3),
        (ProtocolError, 3),
        (ForeignServer, 3),
    ],
)
def test_an_error_that_ends_a_command_gives_its_exit_status(kind: type[ChatError], status: int) -> None:
    assert kind.exit_status == status
