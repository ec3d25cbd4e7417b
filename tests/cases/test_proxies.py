"""A server behind nginx, Caddy and HAProxy, each configured by the exact block of docs/operations.md."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from tests.cases.commands import PATIENCE_S, Server, run, serve
from tests.cases.proxies import LOG, NAME, Certificate, Visitor, block, make_certificate, needs, running

SERVER = "127.0.0.1:5555"
PEER, OTHER_PEER = "203.0.113.9", "203.0.113.10"  # addresses for documentation, not loopback
OPTIONS = ("--journal", "memory", "--public-name", NAME, "--proxy", "127.0.0.1")


class Proxy(NamedTuple):
    """A proxy that terminates TLS: its configuration, and the command that runs it."""

    configure: Callable[[int, Server, Certificate, str], str]
    command: Callable[[Path], Sequence[str]]


def replace(text: str, *pairs: tuple[str, str]) -> str:
    """Return a block with its paths and ports replaced by those of the test; each must occur in it."""
    for old, new in pairs:
        assert old in text, f"{old!r} is not in the block of docs/operations.md"
        text = text.replace(old, new)
    return text


def nginx(port: int, server: Server, certificate: Certificate, base: str) -> str:
    site = block("nginx", 0)
    if base != "/":
        (whole,) = re.findall(r"^    location / \{\n.*?^    \}\n", site, re.MULTILINE | re.DOTALL)
        site = site.replace(whole, indent(block("nginx", 1), "    "))
    site = replace(
        site,
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/letsencrypt/live/chat.example.org/fullchain.pem", str(certificate.chain)),
        ("/etc/letsencrypt/live/chat.example.org/privkey.pem", str(certificate.key)),
        (SERVER, server.address),
    )
    directory = certificate.chain.parent
    places = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nmaster_process off;\npid {directory}/nginx.pid;\nerror_log stderr;\n"
        f"events {{ }}\nhttp {{\naccess_log off;\n{places}{site}}}\n"
    )


def caddy(port: int, server: Server, certificate: Certificate, base: str) -> str:
    site = block("caddyfile", 0 if base == "/" else 1)
    upstream = f"reverse_proxy {SERVER}"
    # Otherwise Caddy ignores the X-Forwarded-For header of every client, also of this test.
    trusted = "trusted_proxies 127.0.0.1/32\n"
    body = f"{trusted}health_uri" if base == "/" else ""
    site = replace(
        site,
        (
            f"{NAME} {{",
            f"https://{NAME}:{port} {{\nbind 127.0.0.1\ntls {certificate.chain} {certificate.key}",
        ),
        *([("health_uri", body)] if body else [(upstream, f"{upstream} {{\n{trusted}}}")]),
        (SERVER, server.address),
    )
    return f"{{\nadmin off\nauto_https disable_redirects\nskip_install_trust\n}}\n{site}"


def haproxy(port: int, server: Server, certificate: Certificate, base: str) -> str:
    web = block("haproxy", 0)
    if base != "/":
        web = web[: web.index("frontend")] + block("haproxy", 1)
    return replace(
        web,
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("/etc/haproxy/chat.example.org.pem", str(certificate.both)),
        (SERVER, server.address),
    )


def haproxy_command(file: Path) -> Sequence[str]:
    return ["haproxy", "-db", "-f", str(file)]


PROXIES = {
    "nginx": Proxy(nginx, lambda file: ["nginx", "-c", str(file), "-p", str(file.parent)]),
    "caddy": Proxy(caddy, lambda file: ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]),
    "haproxy": Proxy(haproxy, haproxy_command),
}


@contextmanager
def behind(directory: Path, name: str, base: str, *options: str) -> Iterator[Visitor]:
    """Run a server with a proxy in front of it, and yield a client of the proxy."""
    certificate = make_certificate(directory)
    proxy = PROXIES[name]
    with (
        serve(directory, *OPTIONS, *options) as server,
        running(
            directory, lambda port: proxy.configure(port, server, certificate, base), proxy.command
        ) as port,
    ):
        yield Visitor(port, certificate.context, base)


through_each = pytest.mark.parametrize(
    ("name", "base"),
    [
        pytest.param(name, base, marks=needs(name), id=f"{name} {base}")
        for name in PROXIES
        for base in ("/", "/chat/")
    ],
)


def send(websocket: ClientConnection, **message: Any) -> None:
    websocket.send(json.dumps(message))


def receive(websocket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of a type; a WebSocket's message may hold several."""
    while True:
        text = websocket.recv(PATIENCE_S)
        assert isinstance(text, str)
        for message in map(json.loads, text.splitlines()):
            if message["type"] == kind:
                return dict(message)


# --- HTTP ----------------------------------------------------------------------------------------------


@through_each
def test_the_page_and_its_files_load(name: str, base: str, tmp_path: Path) -> None:
    with behind(tmp_path, name, base) as visitor:
        status, headers, page = visitor.get("")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert f"connect-src 'self' ws://{NAME} wss://{NAME};" in headers["Content-Security-Policy"]
        files = re.findall(r'(?:src|href)="([^"#]+)"', page)
        assert len(set(files)) > 5
        for file in set(files):
            assert not file.startswith("/") and visitor.get(file)[0] == 200, file
        assert visitor.get("healthz")[::2] == (200, "ok\n")
        if base != "/":
            status, headers, _ = visitor.get(base.rstrip("/"))
            assert (status in (301, 302), headers["Location"].endswith(base)) == (True, True)
            assert visitor.get("/healthz")[2] != "ok\n", "the rest of the name is not the chat's"


@through_each
def test_two_clients_chat_over_websocket(name: str, base: str, tmp_path: Path) -> None:
    with behind(tmp_path, name, base) as visitor:
        with visitor.open_websocket() as ada, visitor.open_websocket() as bob:
            for name_, websocket in (("ada", ada), ("bob", bob)):
                send(websocket, type="hello", version=1, name=name_)
                receive(websocket, "welcome")
                send(websocket, type="join", room="lobby", ref="j")
                receive(websocket, "room")
            send(ada, type="say", room="lobby", text="hello through it", ref="s")
            assert receive(bob, "said")["text"] == "hello through it"
            assert receive(ada, "ack")["seq"] == 1
        with pytest.raises(InvalidStatus) as caught:
            visitor.open_websocket(origin="https://evil.example")
        assert caught.value.response.status_code == 403


@through_each
def test_each_peer_is_counted_by_its_own_address(name: str, base: str, tmp_path: Path) -> None:
    with (
        behind(tmp_path, name, base, "--limit", "connections_per_address=1") as visitor,
        ExitStack() as open_,
    ):
        open_.enter_context(visitor.open_websocket(PEER))
        with pytest.raises(InvalidStatus) as caught:
            visitor.open_websocket(PEER)
        assert caught.value.response.status_code == 503
        open_.enter_context(visitor.open_websocket(OTHER_PEER))
        open_.enter_context(visitor.open_websocket())  # from loopback, which is exempt from the limit
        open_.enter_context(visitor.open_websocket())


# --- HAProxy: its checks, and TCP ----------------------------------------------------------------------


@contextmanager
def tcp_proxy(directory: Path, *options: str, bind: str = "") -> Iterator[int]:
    """Run a server behind HAProxy in TCP mode; `bind` is added to the options of its listener."""
    with (
        serve(directory, *OPTIONS, *options) as server,
        running(
            directory,
            lambda port: (
                LOGGED
                + replace(
                    block("haproxy", 2),
                    ("bind :5555", f"bind 127.0.0.1:{port} {bind}"),
                    ("127.0.0.1:5556", server.address),
                    ("defaults\n", CHECKS_LOGGED),
                )
            ),
            haproxy_command,
        ) as port,
    ):
        yield port


@needs("haproxy")
def test_a_haproxy_health_check_succeeds(tmp_path: Path) -> None:
    """The check is HTTP/1.0 without a Host."""
    certificate = make_certificate(tmp_path)
    with (
        serve(tmp_path, *OPTIONS) as server,
        running(
            tmp_path,
            lambda port: (
                LOGGED + replace(haproxy(port, server, certificate, "/"), ("defaults\n", CHECKS_LOGGED))
            ),
            haproxy_command,
        ),
    ):
        wait_for_line(tmp_path, "Layer7 check passed, code: 200")


@needs("haproxy")
def test_a_health_check_with_a_proxy_header_succeeds(tmp_path: Path) -> None:
    with tcp_proxy(tmp_path):
        wait_for_line(tmp_path, "Layer7 check passed, code: 200")


@needs("haproxy")
def test_terminals_and_browsers_share_a_tcp_proxy(tmp_path: Path) -> None:
    with tcp_proxy(tmp_path) as port:
        done = run(tmp_path, "join", f"ada@127.0.0.1:{port}", "--tokens", "none", stdin=b"through it\n")
        assert done.returncode == 0, done.stderr
        with closing(socket.create_connection(("127.0.0.1", port), PATIENCE_S)) as browser:
            browser.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            assert browser.recv(100).startswith(b"HTTP/1.1 200 ")


@needs("haproxy")
def test_each_peer_of_a_tcp_proxy_is_counted_by_its_own_address(tmp_path: Path) -> None:
    """A version 1 header gives the address to HAProxy, and a version 2 header gives it to the server."""
    with (
        tcp_proxy(tmp_path, "--limit", "connections_per_address=1", bind="accept-proxy") as port,
        ExitStack() as open_,
    ):
        answers = [open_.enter_context(hello(port, peer, name)) for peer, name in PEERS]
    assert [answer["type"] for answer in answers] == ["welcome", "bye", "welcome"]
    assert answers[1]["code"] == "too_many_connections"


PEERS = [(PEER, "ada"), (PEER, "bob"), (OTHER_PEER, "eve")]


@contextmanager
def hello(port: int, peer: str, name: str) -> Iterator[dict[str, Any]]:
    """Send a hello in frames from an address; yield the reply while the connection is open."""
    payload = json.dumps({"type": "hello", "version": 1, "name": name}).encode()
    header = f"PROXY TCP4 {peer} 127.0.0.1 50000 {port}\r\n".encode()
    with closing(socket.create_connection(("127.0.0.1", port), PATIENCE_S)) as connection:
        connection.sendall(header + struct.pack(">I", len(payload)) + payload)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack(">I", stream.read(4))
            yield json.loads(stream.read(length))


LOGGED = "global\n    log stdout format raw local0\n"
CHECKS_LOGGED = "defaults\n    log global\n    option log-health-checks\n"


def wait_for_line(directory: Path, text: str) -> None:
    """Wait until a proxy has logged a line that holds a text."""
    deadline = time.monotonic() + PATIENCE_S
    log = directory / LOG
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)  # there is no event for a log line of another process
