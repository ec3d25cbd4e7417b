"""The client: `connect` to a server and get a `Chat`, which reconnects by itself.

connect       from an address to a Chat and to its end; owns the tasks
chat          the Chat: a method for each command
session       requests and events of a Chat, over any number of connections
events        the events that a program receives

requests      PURE: which command an answer belongs to, and what is sent again      these outlive
rooms         PURE: the joined rooms, and whether they are rejoined                 a connection
inbox         PURE: events that the program has not taken, and fetching missed entries
overflow      PURE: events that arrived while the inbox was full
pacer         PURE: token buckets of the server's rates
backlog       whether requests wait to be sent, and which the server has postponed
dispatch      gives each event to its request or to the inbox

reconnect     one connection after another, and the pauses between
backoff       PURE: how long to wait before the next try
handshake     from an address to a welcome
address       PURE: hosts, ports and URLs
upgrade       agree on frames or a WebSocket
resume        rejoin the rooms
sender        send waiting requests, in order and at the server's rate
keepalive     pings, silence, and a machine that has slept
backpressure  when to read
ungrouped     the exceptions of a nursery, without the group
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
