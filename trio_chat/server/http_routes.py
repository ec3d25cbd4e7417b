"""Make the response to an HTTP request. PURE: a request in, a response out.

    /              the page
    /static/NAME   the files of the page
    /healthz       the health of the server: 200 or 503
    /ws            the WebSocket

A browser sends requests for every page that it shows, so two headers are checked first. `Host` must be an
address, `localhost`, or a `--public-name`: a foreign page may have a name that resolves to this machine
(DNS rebinding), and its requests would pass as our own. `Origin` of a WebSocket request must be the server's
own; programs send no `Origin`.

`/healthz` accepts any `Host`: a load balancer may send none (HTTP/1.0), and the response is no secret.
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

__all__ = ["HttpResponse", "HttpRoutes", "path_of", "plain_text"]

PLAIN = "text/plain; charset=utf-8"
WEBSOCKET_VERSION = b"13"

PATH_MAX = 256  # bytes; the paths of the page are short, and a path is decoded before it is looked up
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
    """A response. After status 101 the connection is a WebSocket; after a `last` response it is closed."""

    status: int
    headers: list[Header]
    body: bytes
    last: bool = False


class HttpRoutes:
    """The routes of one server. `is_well` decides the status of `/healthz`."""

    def __init__(
        self, public_names: Sequence[str], clock_ms: Callable[[], int], is_well: Callable[[], bool]
    ) -> None:
        self._names = {"localhost", *map(parse_public_name, public_names)}
        self._clock_ms = clock_ms
        self._is_well = is_well
        self._pages = load_static_files()

    def respond(self, request: h11.Request) -> HttpResponse:
        """Return the response, with its body also for HEAD."""
        if request.http_version not in (b"1.0", b"1.1"):
            return self.refusal(505, "invalid HTTP version: expected HTTP/1.1")
        if request.method == b"CONNECT":  # its target is a host and a port, not a path
            return self._add_headers(_not_allowed()._replace(last=True))
        fields = _fields(request)
        target = split_target(request.target)
        host, rest = target or (fields.get(b"host", b""), request.target)
        path = path_of(rest)
        if path == HEALTH:
            return self._add_headers(self._health(request.method))
        authority = parse_authority(host)
        if authority is None and host:
            return self.refusal(400, "invalid Host: expected a name or an address, and a port or none")
        if authority is None or not self._is_ours(authority):
            return self._add_headers(plain_text(421, "unknown Host: add it with serve --public-name"))
        return self._add_headers(self._route(request, path, fields, authority), str(authority))

    def refusal(self, status: int, detail: str, *headers: Header) -> HttpResponse:
        """Return the response to an invalid or incomplete request; the connection is closed after it."""
        return self._add_headers(plain_text(status, detail, *headers)._replace(last=True))

    def _is_ours(self, authority: Authority) -> bool:
        return authority.host in self._names or is_address(authority.host)

    def _health(self, method: bytes) -> HttpResponse:
        if method not in (b"GET", b"HEAD"):
            return _not_allowed()
        return plain_text(200, "ok") if self._is_well() else plain_text(503, "unhealthy")

    def _route(
        self, request: h11.Request, path: str, fields: dict[bytes, bytes], authority: Authority
    ) -> HttpResponse:
        if request.method == b"OPTIONS" and path == "*":
            return HttpResponse(200, [("Allow", "GET, HEAD")], b"")
        if request.method not in (b"GET", b"HEAD"):
            return _not_allowed()
        if not path.startswith("/"):
            return plain_text(400, "invalid target: expected a path or a URL")
        if path == "/ws":
            return _upgrade(request, fields, authority)
        page = self._pages.get(path)
        if page is None:
            return plain_text(404, "not found")
        headers = [("ETag", page.tag)]
        if page.tag in fields.get(b"if-none-match", b"").decode("latin-1"):
            return HttpResponse(304, headers, b"")
        return HttpResponse(200, [*headers, ("Content-Type", page.kind)], page.body)

    def _add_headers(self, response: HttpResponse, host: str = "") -> HttpResponse:
        """Add the headers of every response. They let a page connect to the host of its request only."""
        if response.status == 101:
            return response
        sockets = f" ws://{host} wss://{host}" if host else ""
        headers = [
            ("Date", formatdate(self._clock_ms() / 1000, usegmt=True)),
            *response.headers,
            ("Content-Security-Policy", _POLICY.format(sockets=sockets)),
            *_ALWAYS,
        ]
        return response._replace(headers=headers)


def _fields(request: h11.Request) -> dict[bytes, bytes]:
    """Return the headers. Repeated ones are joined (RFC 9110), so a second `Origin` cannot hide the first."""
    fields: dict[bytes, bytes] = {}
    for name, value in request.headers:
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def plain_text(status: int, detail: str, *headers: Header) -> HttpResponse:
    """Return a response with a body of one line."""
    return HttpResponse(status, [*headers, ("Content-Type", PLAIN)], f"{detail}\n".encode())


def _not_allowed() -> HttpResponse:
    return plain_text(405, "invalid method: expected GET or HEAD", ("Allow", "GET, HEAD"))


def path_of(target: bytes) -> str:
    """Return the path of a target without its query, percent-encodings of unreserved characters decoded.

    Both forms are the same path (RFC 3986, 6.2.2.2). A path that is too long for any page is not decoded.
    """
    path = target.partition(b"?")[0]
    if b"%" in path and len(path) <= PATH_MAX:
        path = _ENCODED.sub(_decoded, path)
    return path.decode("ascii", "replace")


def _decoded(encoded: re.Match[bytes]) -> bytes:
    value = int(encoded[1], 16)
    return bytes([value]) if value in _UNRESERVED else encoded[0]


def _upgrade(request: h11.Request, fields: dict[bytes, bytes], authority: Authority) -> HttpResponse:
    """Return the response to a WebSocket handshake (RFC 6455, 4.2.1), without extensions and subprotocols."""
    origin = fields.get(b"origin")
    if origin is not None and not is_same_origin(origin, authority):
        return plain_text(403, "invalid Origin: this page is from another server")
    tokens = {token.strip() for token in fields.get(b"connection", b"").lower().split(b",")}
    is_upgrade = b"upgrade" in tokens and fields.get(b"upgrade", b"").lower() == b"websocket"
    if request.method != b"GET" or request.http_version != b"1.1" or not is_upgrade:
        return plain_text(426, "expected a WebSocket upgrade", ("Upgrade", "websocket"))
    if fields.get(b"sec-websocket-version") != WEBSOCKET_VERSION:
        return plain_text(426, "invalid WebSocket version: expected 13", ("Sec-WebSocket-Version", "13"))
    key = fields.get(b"sec-websocket-key", b"")
    try:
        is_valid = len(b64decode(key, validate=True)) == 16
    except Base64Error:
        is_valid = False
    if not is_valid:
        return plain_text(400, "invalid Sec-WebSocket-Key: expected 16 bytes in base64")
    accept = generate_accept_token(key).decode()
    return HttpResponse(
        101, [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)], b""
    )
