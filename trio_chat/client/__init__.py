"""The client: `connect` to a server and hold a `Chat`, which comes back by itself.

connect       from an address to a Chat, and to its end: owns the tasks
chat          what a program says and hears, a method for each command
conversation  what a program says and hears, whatever the connection; why it ended
news          what a program is told unasked

requests      which command an answer belongs to, and what is sent again         outlive a
rooms         PURE: the rooms one is in, and whether one is back                 connection
inbox         PURE: what was not taken yet, and how what was missed is caught up
beyond        PURE: what came while the inbox was full
pacer         PURE: token buckets of what the server allows
backlog       whether requests wait to be sent, and which the server has put off
reception     what comes is given to whom it is for

visits        one connection after another, and the outages between
backoff       PURE: how long to wait before the next try
greeting      from an address to a welcome
address       PURE: where a server is, and what is spoken there
upgrade       from a link to what is spoken on it
reentry       back into the rooms
sender        send what waits, in order and at the server's pace
keepalive     pings, silence, and a machine that has slept
brake         when to read on
ungrouped     what a nursery raises, to those who do not care that there is one
connection    commands out and events in, over one link
"""

from trio_chat.client.chat import Chat
from trio_chat.client.connect import connect
from trio_chat.client.events import ClientEvent, Disconnected, Reconnected
from trio_chat.net.dial import Dial, dial_tcp
from trio_chat.net.link import Link, SocketLink

__all__ = [
    "Chat",
    "ClientEvent",
    "Dial",
    "Disconnected",
    "Link",
    "Reconnected",
    "SocketLink",
    "connect",
    "dial_tcp",
]
