"""What is answered to a request over HTTP. Pure: a request in, an answer out.

    /              the page
    /static/NAME   what the page consists of
    /healthz       whether the server is well: 200, or 503
    /ws            the WebSocket

A browser lends its hands to every page that it shows, so two questions come first. By which name does it
ask? A page of somebody else's may have a name that resolves to this machine, and would then pass as ours:
`Host` must be an address, `localhost`, or a name that the owner has given. And whose page asks for a
WebSocket? `Origin` must be our own; programs send none.

`/healthz` is answered under any name: a balancer asks without one (HTTP/1.0), and the answer is no secret.
The host of a target in absolute form counts instead of the `Host` header (RFC 9112, 3.2.2).
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import NamedTuple

import h11
from wsproto.utilities import generate_accept_token

from trio_chat.server.authority import Authority, is_address, is_same_origin, parse_authority, split_target
from trio_chat.server.public_names import parse_public_name
from trio_chat.server.static_files import load_static_files

__all__ = ["HttpResponse", "HttpRoutes", "path_of", "words"]

PLAIN = "text/plain; charset=utf-8"
WEBSOCKET_VERSION = b"13"

PATH_MAX = 256  # bytes; the pages have short ones, and a path is decoded before it is looked up
HEALTH = "/healthz"

_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")

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


class HttpResponse(NamedTuple):
    """101 is the upgrade: what follows is a WebSocket. `last`: the connection is closed behind it."""

    status: int
    headers: list[Header]
    body: bytes
    last: bool = False


class HttpRoutes:
    """One server's. `is_well` says what `/healthz` is to say."""

    def __init__(
        self, public_names: Sequence[str], clock_ms: Callable[[], int], is_well: Callable[[], bool]
    ) -> None:
        self._names = {"localhost", *map(parse_public_name, public_names)}
        self._clock_ms = clock_ms
        self._is_well = is_well
        self._pages = load_static_files()

    def answer(self, request: h11.Request) -> HttpResponse:
        """What to send; the body also where it was not asked for (HEAD)."""
        if request.http_version not in (b"1.0", b"1.1"):
            return self.refusal(505, "HTTP/1.1 is spoken here")
        if request.method == b"CONNECT":  # its target is a host and a port, and no path
            return self._dress(_not_allowed()._replace(last=True))
        fields = _fields(request)
        target = split_target(request.target)
        host, rest = target or (fields.get(b"host", b""), request.target)
        path = path_of(rest)
        if path == HEALTH:
            return self._dress(self._health(request.method))
        authority = parse_authority(host)
        if authority is None and host:
            return self.refusal(400, "invalid Host: expected a name or an address, and a port or none")
        if authority is None or not self._is_ours(authority):
            return self._dress(words(421, "this server is not called that; its --public-name may say so"))
        return self._dress(self._found(request, path, fields, authority), str(authority))

    def refusal(self, status: int, detail: str, *headers: Header) -> HttpResponse:
        """The answer to what could not be read as a request, or takes too long to become one."""
        return self._dress(words(status, detail, *headers)._replace(last=True))

    def _is_ours(self, authority: Authority) -> bool:
        return authority.host in self._names or is_address(authority.host)

    def _health(self, method: bytes) -> HttpResponse:
        if method not in (b"GET", b"HEAD"):
            return _not_allowed()
        return words(200, "ok") if self._is_well() else words(503, "not well")

    def _found(
        self, request: h11.Request, path: str, fields: dict[bytes, bytes], authority: Authority
    ) -> HttpResponse:
        if request.method == b"OPTIONS" and path == "*":
            return HttpResponse(200, [("Allow", "GET, HEAD")], b"")
        if request.method not in (b"GET", b"HEAD"):
            return _not_allowed()
        if not path.startswith("/"):
            return words(400, "invalid target: expected a path or a URL")
        if path == "/ws":
            return _upgrade(request, fields, authority)
        page = self._pages.get(path)
        if page is None:
            return words(404, "there is nothing here")
        headers = [("ETag", page.tag)]
        if page.tag in fields.get(b"if-none-match", b"").decode("latin-1"):
            return HttpResponse(304, headers, b"")
        return HttpResponse(200, [*headers, ("Content-Type", page.kind)], page.body)

    def _dress(self, answer: HttpResponse, host: str = "") -> HttpResponse:
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


def words(status: int, detail: str, *headers: Header) -> HttpResponse:
    """An answer of one line."""
    return HttpResponse(status, [*headers, ("Content-Type", PLAIN)], f"{detail}\n".encode())


def _not_allowed() -> HttpResponse:
    return words(405, "GET and HEAD are all there is", ("Allow", "GET, HEAD"))


def path_of(target: bytes) -> str:
    """Return the path of a target without its query, percent-encodings of unreserved characters decoded.

    Those are the same path (RFC 3986, 6.2.2.2). A path that is too long for any page stays as it is.
    """
    path = target.partition(b"?")[0]
    if b"%" in path and len(path) <= PATH_MAX:
        path = _ENCODED.sub(_decoded, path)
    return path.decode("ascii", "replace")


def _decoded(encoded: re.Match[bytes]) -> bytes:
    value = int(encoded[1], 16)
    return bytes([value]) if value in _UNRESERVED else encoded[0]


def _upgrade(request: h11.Request, fields: dict[bytes, bytes], authority: Authority) -> HttpResponse:
    """To WebSocket, as RFC 6455 wants it in 4.2.1. No extension and no subprotocol is ever agreed to."""
    origin = fields.get(b"origin")
    if origin is not None and not is_same_origin(origin, authority):
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
    return HttpResponse(
        101, [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)], b""
    )
