"""The client: `connect` to a server and hold a `Chat`.

connect       from an address to a Chat, and to its end: owns the tasks
chat          what a program says and hears, a method for each command
conversation  what comes is given to whom it is for; why it ended
connection    commands out and events in, over one link
requests      which command an answer belongs to
inbox         PURE: what was not taken yet, and how what was missed is caught up
"""

from trio_chat.client.chat import Chat
from trio_chat.client.connect import connect
from trio_chat.client.inbox import Incoming
from trio_chat.net.dial import Dial, dial_tcp
from trio_chat.net.link import Link, SocketLink

__all__ = ["Chat", "Dial", "Incoming", "Link", "SocketLink", "connect", "dial_tcp"]
