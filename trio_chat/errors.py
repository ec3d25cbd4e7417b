"""Every error of trio-chat, in one tree.

    ChatError
    ├── WireError        the peer broke the wire protocol
    │   ├── FrameError   … in a frame: the connection ends with `bye`
    │   └── BadMessage   … in a message: the reply is `error`, the connection continues
    ├── Refused          a valid command was refused
    ├── StoreError       the journal cannot read or write
    ├── LinkBroken       a connection was lost: reset, closed or cut off
    ├── CannotStart      a server cannot start                        (exit status 2)
    │   ├── JournalInUse   another server has the journal open
    │   └── JournalUnavailable  the disk is full or fails           (exit status 75)
    ├── JournalToolError  a `trio-chat journal` command failed            (exit status 2)
    ├── OutputError      standard output cannot be written            (exit status 2)
    │   └── OutputClosed   its reader closed the pipe; the command ends without a message
    ├── SimulationError  a simulated run found a fault
    │   ├── DeadlockError  no task can run any more, or the run does not end
    │   ├── ResourceLeakError  the scenario has ended and a resource is still open
    │   ├── NotSimulated   the run used a thread, a socket, a process or a real clock
    │   └── PromiseBroken  the simulated server broke a promise
    └── ClientError      a client cannot continue                     (exit status 3)
        ├── CannotConnect  no server answered, or it refused the connection
        ├── ConnectionLost the connection ended unexpectedly and cannot be resumed
        │   └── ServerChanged  another server answered: messages for the previous server are not sent
        └── ProtocolError  the server broke the wire protocol
            └── ForeignServer  the server speaks another protocol

A fault of a peer is not logged as an error: it carries the wire code for the reply, and ends at most one
connection. An exception outside this tree is a bug and is not caught.
The message of each error is one line that can be shown to a user. The message of `DeadlockError` has a task
tree below that line.
"""

__all__ = [
    "BadMessage",
    "CannotConnect",
    "CannotStart",
    "ChatError",
    "ClientError",
    "ConnectionLost",
    "DeadlockError",
    "ForeignServer",
    "FrameError",
    "JournalInUse",
    "JournalToolError",
    "JournalUnavailable",
    "LinkBroken",
    "NotSimulated",
    "OutputClosed",
    "OutputError",
    "PromiseBroken",
    "ProtocolError",
    "Refused",
    "ResourceLeakError",
    "ServerChanged",
    "SimulationError",
    "StoreError",
    "WireError",
]


class ChatError(Exception):
    """The base class: `except ChatError` catches every error that trio-chat raises on purpose, but no bug.

    `exit_status` is the exit status of a command that ends with this error.
    """

    exit_status = 1


class WireError(ChatError):
    """The peer broke the wire protocol; `code` is the wire code that is sent to it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class FrameError(WireError):
    """The stream of frames cannot go on; `code` is a code of `bye`.

    `ref` is the `ref` of the invalid command, if it could be read: a `hello` of another version has one.
    """

    def __init__(self, code: str, detail: str, *, ref: str = "") -> None:
        super().__init__(code, detail)
        self.ref = ref


class BadMessage(WireError):
    """A payload is not a valid message; the stream can continue with the next one.

    `field` names the invalid field, if there is one. `ref` is the `ref` of the payload, if it can be read.
    """

    def __init__(self, detail: str, *, field: str = "", ref: str = "") -> None:
        super().__init__("bad_message", detail)
        self.field = field
        self.ref = ref

    def as_value(self) -> "BadMessage":
        """Return this error without its traceback and context.

        A stored traceback keeps its stack frames and all their data in memory, in a reference cycle.
        """
        self.__traceback__ = self.__context__ = None
        return self


class Refused(ChatError):
    """A valid command was refused. Raised by the server's rules, and by the client that sent the command.

    `code` is a code of `error`. `retry_after_s` is the time after which the command may succeed.
    """

    def __init__(self, code: str, detail: str, *, field: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s


class StoreError(ChatError):
    """The journal cannot read or write at the moment; a later attempt may succeed."""


class LinkBroken(ChatError, OSError):
    """The connection is lost. This is normal and not logged. Also an OSError, as the errors of sockets
    are."""


class CannotStart(ChatError):
    """The server cannot start: the port is in use, the journal file or a limit is invalid."""

    exit_status = 2


class JournalInUse(CannotStart):
    """Another server has the journal open."""


class JournalUnavailable(CannotStart):
    """The disk of the journal is full or fails; a later start may succeed."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h


class JournalToolError(ChatError):
    """A command on a journal failed and changed nothing."""

    exit_status = 2


class OutputError(ChatError, OSError):
    """Standard output cannot be written: the disk is full, or it is closed. Also an OSError."""

    exit_status = 2


class OutputClosed(OutputError, BrokenPipeError):
    """The reader of standard output closed the pipe, as `head` does after its last line."""


class SimulationError(ChatError):
    """The simulation harness ended a run because it found a fault in the program.

    A note of the exception has the call that replays the run.
    """


class DeadlockError(SimulationError):
    """A simulated run cannot end: no task can run any more, or the run takes too many steps.

    The message is one line and, below it, `tree`: the tasks and the line at which each of them waits.
    """

    def __init__(self, detail: str, tree: str) -> None:
        super().__init__(f"{detail}\n{tree}")
        self.detail = detail
        self.tree = tree


class ResourceLeakError(SimulationError):
    """A simulated scenario ended and left resources open: `left` has a line for each."""

    def __init__(self, left: tuple[str, ...]) -> None:
        super().__init__("leaked: " + "; ".join(left))
        self.left = left


class NotSimulated(SimulationError):
    """A simulated program used a function that cannot be simulated; the message names it and its caller."""


class PromiseBroken(SimulationError):
    """The server broke a promise in a simulated chat.

    `breaches` describes each breach. `kind` is the `trio_chat.contract.Kind` of the first one.
    """

    def __init__(self, breaches: tuple[str, ...], *, kind: str = "") -> None:
        more = f"; and {len(breaches) - 5} more" if breaches[5:] else ""
        super().__init__("; ".join(breaches[:5]) + more)
        self.breaches = breaches
        self.kind = kind


class ClientError(ChatError):
    """A `Chat` cannot continue."""

    exit_status = 3


class CannotConnect(ClientError):
    """No server answered, or it refused the connection; `code` is the code of its `bye`, or empty."""

    def __init__(self, detail: str, *, code: str = "") -> None:
        super().__init__(detail)
        self.code = code


class ConnectionLost(ClientError):
    """The connection ended unexpectedly.

    A `Chat` that reconnects raises this when reconnecting failed for good, or for a single message that it
    will not send again.

    `code` is the code of the server's `bye`, or of its reply to the attempt to reconnect, or empty.
    `reconnect` says whether the client may reconnect, and `after_s` after how many seconds at the earliest.
    """

    def __init__(self, detail: str, *, code: str = "", reconnect: bool = True, after_s: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.reconnect = reconnect
        self.after_s = after_s


class ServerChanged(ConnectionLost):
    """A message was not acknowledged, and another server now has the address: the message is not sent to it.

    The Chat continues with the new server. Whether the previous server stored the message is unknown.
    """


class ProtocolError(ClientError):
    """The server broke the wire protocol."""


class ForeignServer(ProtocolError):
    """The server speaks another protocol; `protocol` is its name."""

    def __init__(self, detail: str, *, protocol: str = "") -> None:
        super().__init__(detail)
        self.protocol = protocol
