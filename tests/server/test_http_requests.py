"""The forms that a request may have by RFC 9112, and how each is answered."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.harness import serving
from tests.server.web import CHROME, Browser, get
from trio_chat.server.config import Config
from trio_chat.server.http import EMPTY_BYTES, HEAD_BYTES
from trio_chat.server.http_routes import PATH_MAX, path_of

NAMED = Config(public_names=("chat.example", "bücher.example"))


# --- health --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "head",
    [
        "/healthz HTTP/1.0\r\n",
        "/healthz HTTP/1.0\r\nHost: chat\r\n",
        "/healthz?from=balancer HTTP/1.1\r\nHost: localhost\r\n",
        "/healthz HTTP/1.1\r\nHost:\r\n",
        "/healthz HTTP/1.1\r\nHost: evil.example\r\n",
        "/healthz HTTP/1.1\r\nHost: my_chat:5555\r\n",
        "/healthz HTTP/1.1\r\nHost: ::1\r\n",
        "http://any.example/healthz HTTP/1.1\r\nHost: any.example\r\n",
        "/%68ealthz HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
async def test_health_is_answered_under_any_host(head: str, method: str, autojump_clock: MockClock) -> None:
    async with serving() as house:
        status, _, body = await Browser(house).ask(f"{method} {head}\r\n".encode(), method=method)
        assert (status, body) == (200, b"ok\n" if method == "GET" else b"")


async def test_health_needs_a_host_in_http_1_1_as_all_requests(autojump_clock: MockClock) -> None:
    async with serving() as house:
        assert (await Browser(house).ask(b"GET /healthz HTTP/1.1\r\n\r\n"))[0] == 400
        assert (await Browser(house).ask(get("/healthz", "Host: localhost")))[0] == 400


async def test_health_says_nothing_of_the_host_that_it_was_asked_by(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        _, headers, _ = await browser.ask(get("/healthz", host="evil.example; script-src *"))
        assert "evil" not in str(headers)
        status, headers, _ = await browser.ask(get("/healthz", method="POST", host="evil.example"))
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        for path in ("/healthz/", "/HEALTHZ", "/healthz%2f", "//healthz"):
            assert (await browser.ask(get(path)))[0] == 404


# --- origins -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("chat.example:443", "https://chat.example", 101),
        ("chat.example:80", "http://chat.example", 101),
        ("chat.example", "https://chat.example:443", 101),
        ("Chat.Example.", "https://chat.example", 101),
        ("xn--bcher-kva.example", "https://xn--bcher-kva.example", 101),
        ("[::1]:443", "https://[::1]", 101),
        ("chat.example:80", "https://chat.example", 403),
        ("chat.example:443", "http://chat.example", 403),
        ("chat.example", "https://xn--bcher-kva.example", 403),
    ],
)
async def test_a_websocket_is_for_the_same_origin(
    host: str, origin: str, status: int, autojump_clock: MockClock
) -> None:
    request = CHROME.replace(b"Host: localhost:5555", f"Host: {host}".encode())
    request = request.replace(b"http://localhost:5555", origin.encode())
    async with serving(NAMED) as house:
        assert (await Browser(house).ask(request))[0] == status


# --- targets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://chat.example/", "evil.example", 200),
        ("http://chat.example", "evil.example", 200),
        ("HTTPS://Chat.Example:443/?a#b", "", 200),
        ("http://127.0.0.1:5555/static/main.js", "127.0.0.1", 200),
        ("http://evil.example/", "chat.example", 421),
        ("http://user@chat.example/", "chat.example", 400),
        ("http://a%2eb/", "chat.example", 400),
        ("http:///", "chat.example", 400),
        ("ftp://chat.example/", "chat.example", 400),
        ("chat.example:443", "chat.example", 400),
        ("*", "chat.example", 400),
        ("?a", "chat.example", 400),
    ],
)
async def test_the_host_of_a_target_counts_more_than_the_header(
    target: str, host: str, status: int, autojump_clock: MockClock
) -> None:
    async with serving(NAMED) as house:
        assert (await Browser(house).ask(get(target, host=host)))[0] == status


async def test_a_websocket_asked_for_by_a_url_is_for_the_origin_of_that(autojump_clock: MockClock) -> None:
    request = CHROME.replace(b"GET /ws", b"GET https://chat.example/ws")
    ours = request.replace(b"http://localhost:5555", b"https://chat.example")
    async with serving(NAMED) as house:
        assert (await Browser(house).ask(ours))[0] == 101
        assert (await Browser(house).ask(request))[0] == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/?", 200),
        ("/?a=b&c=/static/x", 200),
        ("/static/main%2Ejs", 200),
        ("/%73tatic/%6D%61in.js?v=1", 200),
        ("/static%2Fmain.js", 404),
        ("/static/main%252Ejs", 404),
        ("/static/../static/main.js", 404),
        ("/static/%2e%2e/static/main.js", 404),
        ("/static/main.js%00", 404),
        ("/%", 404),
        ("/%7", 404),
        ("/%ff", 404),
        ("/" + "%61" * 2_000, 404),
    ],
)
async def test_a_path_is_compared_as_rfc_3986_says(path: str, status: int, autojump_clock: MockClock) -> None:
    async with serving() as house:
        assert (await Browser(house).ask(get(path)))[0] == status


def test_only_paths_that_may_be_a_page_are_decoded() -> None:
    """The rest of a head of 8 KiB would cost a millisecond."""
    within = b"/" + b"%61" * ((PATH_MAX - 1) // 3)
    assert path_of(within + b"?%61") == "/" + "a" * ((PATH_MAX - 1) // 3)
    assert path_of(within + b"%61") == "/" + "%61" * ((PATH_MAX - 1) // 3 + 1)


async def test_options_of_the_whole_server_are_listed(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        status, headers, body = await browser.ask(get("*", method="OPTIONS"))
        assert (status, headers["allow"], headers["content-length"], body) == (200, "GET, HEAD", "0", b"")
        assert (await browser.ask(get("/", method="OPTIONS")))[0] == 405


async def test_no_tunnel_is_opened(autojump_clock: MockClock) -> None:
    async with serving() as house:
        for target in ("localhost:5555", "evil.example:443", "/healthz"):
            browser = Browser(house)
            status, headers, _ = await browser.ask(get(target, method="CONNECT"))
            assert (status, headers["connection"]) == (405, "close")
            assert await browser.closed()


# --- empty lines, old versions, folded lines -------------------------------------------------------------


@pytest.mark.parametrize("empty", [b"\r\n", b"\n", b"\r\n\r\n", b"\r\n" * 8])
@pytest.mark.parametrize("at_once", [True, False])
async def test_empty_lines_before_a_request_are_ignored(
    empty: bytes, at_once: bool, autojump_clock: MockClock
) -> None:
    async with serving() as house:
        browser = Browser(house)
        for _ in range(3):
            if at_once:
                browser.send(empty + get("/healthz"))
            else:
                for byte in empty:
                    browser.send(bytes([byte]))
                    await wait_all_tasks_blocked()
                browser.send(get("/healthz"))
            assert (await browser.answer())[2] == b"ok\n"


async def test_empty_lines_have_a_bound(autojump_clock: MockClock) -> None:
    async with serving() as house:
        stranger = house.dial()
        stranger.send_bytes(b"\r\n" * (EMPTY_BYTES // 2 + 1) + get("/healthz"))
        await stranger.ended_with("frame_too_large")
        since = trio.current_time()
        silent = house.dial()
        silent.send_bytes(b"\r\n" * (EMPTY_BYTES // 2 + 1))
        await silent.ended_with("frame_too_large")
        assert trio.current_time() - since < 1, "no more is waited for"
        browser = Browser(house)
        assert (await browser.ask(get("/healthz")))[0] == 200
        for _ in range(EMPTY_BYTES // 2):
            browser.send(b"\r\n")
            await wait_all_tasks_blocked()
        browser.send(b"\r\n")
        assert (await browser.answer())[0] == 400
        assert await browser.closed()


@pytest.mark.parametrize("begun", [b"\r\n", b"\r", b"\r\n\r\n"])
async def test_a_connection_of_empty_lines_alone_is_closed(begun: bytes, autojump_clock: MockClock) -> None:
    async with serving() as house:
        asked = Browser(house)
        assert (await asked.ask(get("/")))[0] == 200
        asked.send(begun)
        since = trio.current_time()
        if begun == b"\r":
            assert (await asked.answer())[0] == 408
        assert await asked.closed()
        assert trio.current_time() - since <= 10
        silent = house.dial()
        silent.send_bytes(begun)
        await silent.ended_with("hello_timeout")
        silent.link.close()
        gone = house.dial()
        gone.send_bytes(begun)
        gone.link.close()
        await wait_all_tasks_blocked()
        assert house.server.connections == 0


async def test_empty_lines_before_frames_are_no_frames(autojump_clock: MockClock) -> None:
    async with serving() as house:
        for first in (b"\r\n\0\0\0\x05", b"\rGET / HTTP/1.1\r\n", b"\r\r\nGET", b"\r\nget / HTTP/1.1\r\n"):
            stranger = house.dial()
            stranger.send_bytes(first)
            await stranger.ended_with("frame_too_large")
    async with serving(Config(web=False)) as house:
        stranger = house.dial()
        stranger.send_bytes(b"\r\n\r\n")
        await stranger.ended_with("frame_too_large")


async def test_a_full_server_says_so_behind_an_empty_line(autojump_clock: MockClock) -> None:
    async with serving(connections=1) as house:
        await house.enter("ada")
        late = Browser(house)
        late.send(b"\r\n")
        await wait_all_tasks_blocked()
        status, headers, _ = await late.ask(get("/"))
        assert (status, headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    "line", [b"GET /\r\n", b"GET /\n", b"HELLO\r\n", b"CAP LS 302\r\n", b"GET / HTTP\r\n"]
)
async def test_a_first_line_without_a_version_is_refused_at_once(
    line: bytes, autojump_clock: MockClock
) -> None:
    """Of HTTP/0.9 nothing more may come."""
    async with serving() as house:
        browser = Browser(house)
        since = trio.current_time()
        status, _, body = await browser.ask(line)
        assert (status, body) == (400, b"invalid request\n")
        assert await browser.closed()
        assert trio.current_time() - since < 1


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Host: localhost", "X: a", " b", "\tc"], 200),
        ([" folded", "Host: localhost"], 400),
        (["Host: local", " host"], 400),
        (["Host: localhost", "X: a\rb"], 400),
        (["Host: localhost", "Host: localhost"], 400),
        (["Host: localhost", "X : a"], 400),
        (["host:localhost"], 200),
        (["Host: \t localhost \t"], 200),
    ],
)
async def test_lines_of_a_head_are_read_as_rfc_9112_says(
    lines: list[str], status: int, autojump_clock: MockClock
) -> None:
    async with serving() as house:
        request = "\r\n".join(["GET / HTTP/1.1", *lines, "", ""])
        assert (await Browser(house).ask(request.encode()))[0] == status


async def test_lines_may_end_without_a_cr(autojump_clock: MockClock) -> None:
    async with serving() as house:
        assert (await Browser(house).ask(b"GET / HTTP/1.1\nHost: localhost\n\n"))[0] == 200


async def test_a_first_line_of_any_length_is_bounded(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        assert (await browser.ask(get("/" + "a" * (HEAD_BYTES - 100))))[0] == 404
        browser.send(b"GET /" + b"a" * HEAD_BYTES)
        assert (await browser.answer())[0] == 431
