"""What is answered to a request over HTTP. Pure: a request in, an answer out.

    /              the page
    /static/NAME   what the page consists of
    /healthz       whether the server is well: 200, or 503
    /ws            the WebSocket

A browser lends its hands to every page that it shows, so two questions come first. By which name does it
ask? A page of somebody else's may have a name that resolves to this machine, and would then pass as ours:
`Host` must be an address, `localhost`, or a name that the owner has given. And whose page asks for a
WebSocket? `Origin` must be our own; programs send none.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from email.utils import formatdate
from ipaddress import ip_address
from typing import NamedTuple

import h11
from wsproto.utilities import generate_accept_token

from trio_chat.server.pages import load_pages

__all__ = ["Answer", "Site", "words"]

PLAIN = "text/plain; charset=utf-8"
WEBSOCKET_VERSION = b"13"

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::[0-9]{1,5})?")

_ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("X-Frame-Options", "DENY"),
    ("Cache-Control", "no-cache"),
]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Header = tuple[str, str]


class Answer(NamedTuple):
    """101 is the upgrade: what follows is a WebSocket. `last`: the connection is closed behind it."""

    status: int
    headers: list[Header]
    body: bytes
    last: bool = False


class Site:
    """One server's. `is_well` says what `/healthz` is to say."""

    def __init__(
        self, public_names: Sequence[str], clock_ms: Callable[[], int], is_well: Callable[[], bool]
    ) -> None:
        self._names = {"localhost", *(name.lower() for name in public_names)}
        self._clock_ms = clock_ms
        self._is_well = is_well
        self._pages = load_pages()

    def answer(self, request: h11.Request) -> Answer:
        """What to send; the body also where it was not asked for (HEAD)."""
        if request.http_version not in (b"1.0", b"1.1"):
            return self.refusal(505, "HTTP/1.1 is spoken here")
        fields = _fields(request)
        host = fields.get(b"host", b"")
        if not self._is_ours(host):
            return self._dress(words(421, "this server is not called that; its --public-name may say so"))
        return self._dress(self._found(request, fields, host), host.decode())

    def refusal(self, status: int, detail: str, *headers: Header) -> Answer:
        """The answer to what could not be read as a request, or takes too long to become one."""
        return self._dress(words(status, detail, *headers)._replace(last=True))

    def _is_ours(self, host: bytes) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].decode().lower()
        if name in self._names:
            return True
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _found(self, request: h11.Request, fields: dict[bytes, bytes], host: bytes) -> Answer:
        if request.method not in (b"GET", b"HEAD"):
            return words(405, "GET and HEAD are all there is", ("Allow", "GET, HEAD"))
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        if path == "/healthz":
            return words(200, "ok") if self._is_well() else words(503, "not well")
        if path == "/ws":
            return _upgrade(request, fields, host)
        page = self._pages.get(path)
        if page is None:
            return words(404, "there is nothing here")
        headers = [("ETag", page.tag)]
        if page.tag in fields.get(b"if-none-match", b"").decode("latin-1"):
            return Answer(304, headers, b"")
        return Answer(200, [*headers, ("Content-Type", page.kind)], page.body)

    def _dress(self, answer: Answer, host: str = "") -> Answer:
        """With what every answer says. A browser may talk to the host that it has asked, and to no other."""
        if answer.status == 101:
            return answer
        sockets = f" ws://{host} wss://{host}" if host else ""
        headers = [
            ("Date", formatdate(self._clock_ms() / 1000, usegmt=True)),
            *answer.headers,
            ("Content-Security-Policy", _POLICY.format(sockets=sockets)),
            *_ALWAYS,
        ]
        return answer._replace(headers=headers)


def _fields(request: h11.Request) -> dict[bytes, bytes]:
    """The headers. What is said twice is joined, as RFC 9110 has it: no second `Origin` hides a first."""
    fields: dict[bytes, bytes] = {}
    for name, value in request.headers:
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def words(status: int, detail: str, *headers: Header) -> Answer:
    """An answer of one line."""
    return Answer(status, [*headers, ("Content-Type", PLAIN)], f"{detail}\n".encode())


def _upgrade(request: h11.Request, fields: dict[bytes, bytes], host: bytes) -> Answer:
    """To WebSocket, as RFC 6455 wants it in 4.2.1. No extension and no subprotocol is ever agreed to."""
    origin = fields.get(b"origin")
    if origin is not None and origin.lower() not in (b"http://" + host.lower(), b"https://" + host.lower()):
        return words(403, "that page is not ours")
    tokens = {token.strip() for token in fields.get(b"connection", b"").lower().split(b",")}
    wanted = b"upgrade" in tokens and fields.get(b"upgrade", b"").lower() == b"websocket"
    if request.method != b"GET" or request.http_version != b"1.1" or not wanted:
        return words(426, "this is a WebSocket", ("Upgrade", "websocket"))
    if fields.get(b"sec-websocket-version") != WEBSOCKET_VERSION:
        return words(426, "WebSocket version 13 is spoken here", ("Sec-WebSocket-Version", "13"))
    key = fields.get(b"sec-websocket-key", b"")
    try:
        sound = len(b64decode(key, validate=True)) == 16
    except Base64Error:
        sound = False
    if not sound:
        return words(400, "Sec-WebSocket-Key is not 16 bytes of base64")
    accept = generate_accept_token(key).decode()
    return Answer(
        101, [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)], b""
    )
