"""Every error of trio-chat, in one tree.

    ChatError
    ├── WireError        the peer broke the rules of the wire
    │   ├── FrameError   … of frames: the connection ends with `bye`
    │   └── BadMessage   … of messages: answered by `error`, the connection goes on
    ├── Refused          a command was understood and not granted
    ├── StoreError       the journal cannot do what was asked
    ├── LinkBroken       a connection is gone: reset, closed, or cut
    ├── CannotStart      a server cannot start                        (exit status 2)
    │   ├── JournalInUse   as another one has the journal
    │   └── JournalUnavailable  as its disk takes nothing just now  (exit status 75)
    ├── JournalToolError  a `trio-chat journal` command cannot be done    (exit status 2)
    ├── OutputError      standard output cannot be written            (exit status 2)
    │   └── OutputClosed   as its reader closed the pipe; ends a command without a line
    ├── SimulationError  what ends a simulated run that found something, and nothing else
    │   ├── DeadlockError  nothing can run any more, or it runs for ever
    │   ├── ResourceLeakError  the scenario has ended and something of it is still there
    │   ├── NotSimulated   it reached for a thread, a socket, a process or a real clock
    │   └── PromiseBroken  in a simulated chat, the server's
    └── ClientError      what happens to a program that uses the client (exit status 3)
        ├── CannotConnect  there was no server, or it would not have us
        ├── ConnectionLost the connection ended, nobody asked it to, and there is no way back
        │   └── ServerChanged  another server answers: what was written for the one before is not sent
        └── ProtocolError  the server said what no server of ours says
            └── ForeignServer  it is a server of another protocol

Whose fault it is decides where an error goes. A peer's fault is quiet: it carries the wire code that
answers it and ends, at most, one connection. What is not in this tree is a bug, and loud.
The message of each error is one line and fit to be shown to a user; that of `DeadlockError` has a task tree
below it.
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
    """The root: `except ChatError` catches what trio-chat raises on purpose, and no bug.

    `exit_status` is what a command ends with when this error ends it.
    """

    exit_status = 1


class WireError(ChatError):
    """The peer broke the rules of the wire; `code` is the wire code that tells it so."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class FrameError(WireError):
    """The stream of frames cannot go on; `code` is a code of `bye`.

    `ref` is that of the command at fault where it was one that could be read: a hello of another version.
    """

    def __init__(self, code: str, detail: str, *, ref: str = "") -> None:
        super().__init__(code, detail)
        self.ref = ref


class BadMessage(WireError):
    """One payload is no message of ours; the next may be.

    `field` names the field at fault where there is one, `ref` is the payload's own where it can be read.
    """

    def __init__(self, detail: str, *, field: str = "", ref: str = "") -> None:
        super().__init__("bad_message", detail)
        self.field = field
        self.ref = ref

    def as_value(self) -> "BadMessage":
        """Return the error without where and from what it was raised: a caught error that is kept keeps the
        frames that it passed, with all that they have read, and in a cycle."""
        self.__traceback__ = self.__context__ = None
        return self


class Refused(ChatError):
    """A command was understood and not granted: raised by the server's rules, and again at the client
    whose command it was. `code` is a code of `error`; `retry_after_s` says when it may work."""

    def __init__(self, code: str, detail: str, *, field: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s


class StoreError(ChatError):
    """The journal cannot read or write just now; it may work again later."""


class LinkBroken(ChatError, OSError):
    """The connection is gone. Normal, and quiet. An OSError, as what a bare socket says of it is one."""


class CannotStart(ChatError):
    """The server cannot start: a port in use, a journal that is none, an impossible limit."""

    exit_status = 2


class JournalInUse(CannotStart):
    """Another server has the journal open."""


class JournalUnavailable(CannotStart):
    """The disk of the journal is full, or fails: a later start may succeed."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h


class JournalToolError(ChatError):
    """What its owner asked of a journal cannot be done, and nothing was changed."""

    exit_status = 2


class OutputError(ChatError, OSError):
    """Standard output cannot be written: the disk is full, or it is closed. Also an OSError."""

    exit_status = 2


class OutputClosed(OutputError, BrokenPipeError):
    """The reader of standard output closed the pipe, as `head` does when it has its lines."""


class SimulationError(ChatError):
    """What a simulated run is ended with by the harness, and not by the program in it.

    A note on it holds the call that replays the run.
    """


class DeadlockError(SimulationError):
    """A simulated run cannot end: nothing can run any more, or it runs for ever.

    The message is a line and, below it, `tree`: the tasks, and the line that each of them awaits.
    """

    def __init__(self, detail: str, tree: str) -> None:
        super().__init__(f"{detail}\n{tree}")
        self.detail = detail
        self.tree = tree


class ResourceLeakError(SimulationError):
    """A simulated scenario is done, and `left` is still there: a line for each thing."""

    def __init__(self, left: tuple[str, ...]) -> None:
        super().__init__("left behind: " + "; ".join(left))
        self.left = left


class NotSimulated(SimulationError):
    """A simulated program used what only the real world has; the message says what, and from where."""


class PromiseBroken(SimulationError):
    """In a simulated chat a promise was broken; `breaches` says which, in words, `kind` what the first is:
    a `trio_chat.contract.Kind`."""

    def __init__(self, breaches: tuple[str, ...], *, kind: str = "") -> None:
        more = f"; and {len(breaches) - 5} more" if breaches[5:] else ""
        super().__init__("; ".join(breaches[:5]) + more)
        self.breaches = breaches
        self.kind = kind


class ClientError(ChatError):
    """What ends a `Chat`."""

    exit_status = 3


class CannotConnect(ClientError):
    """No server there, or it would not have us; `code` is that of its `bye`, if it said one."""

    def __init__(self, detail: str, *, code: str = "") -> None:
        super().__init__(detail)
        self.code = code


class ConnectionLost(ClientError):
    """The connection ended and nobody asked it to: what a `Chat` that comes back raises when that is in vain,
    or for one message that it will not send again.

    `code` is that of the server's `bye`, or of what it said to our coming back, or empty when it said
    nothing; `reconnect` says whether coming back is welcome, and after how many seconds at the earliest.
    """

    def __init__(self, detail: str, *, code: str = "", reconnect: bool = True, after_s: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.reconnect = reconnect
        self.after_s = after_s


class ServerChanged(ConnectionLost):
    """A message was not acknowledged, and another server is at the address now: it is not sent to that one.

    The Chat goes on with the other server; whether the server before has the message is not known.
    """


class ProtocolError(ClientError):
    """The server broke the rules of the wire."""


class ForeignServer(ProtocolError):
    """The server speaks another protocol, which `protocol` names."""

    def __init__(self, detail: str, *, protocol: str = "") -> None:
        super().__init__(detail)
        self.protocol = protocol
