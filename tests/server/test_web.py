"""HTTP on the same port: what is served to whom, and what becomes of those who abuse it."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.harness import START_MS, serving, serving_observed
from tests.server.stores import FailingStore, ScriptedStore
from tests.server.web import CHROME, Browser, get
from trio_chat.server.config import Config
from trio_chat.server.http import HEAD_BYTES, HEAD_LINES
from trio_chat.server.static_files import load_static_files
from trio_chat.wire.messages import Error, Say


async def test_the_page_and_what_it_consists_of(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        for path, page in load_static_files().items():
            status, headers, body = await browser.ask(get(path))
            assert (status, headers["content-type"], body) == (200, page.kind, page.body)
            assert headers["content-length"] == str(len(page.body))
        assert load_static_files()["/"].kind == "text/html; charset=utf-8"


async def test_what_has_not_changed_is_not_sent_again(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        tag = (await browser.ask(get("/")))[1]["etag"]
        status, headers, body = await browser.ask(get("/", f"If-None-Match: {tag}"))
        assert (status, body, headers["etag"]) == (304, b"", tag)
        assert (await browser.ask(get("/", 'If-None-Match: "another"')))[0] == 200


async def test_every_answer_says_what_a_browser_may_do_with_it(autojump_clock: MockClock) -> None:
    async with serving() as house:
        for path, host in [("/", "localhost"), ("/nothing", "127.0.0.1:5555"), ("/ws", "[::1]:80")]:
            _, headers, _ = await Browser(house).ask(get(path, host=host))
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
            assert f"connect-src 'self' ws://{host} wss://{host};" in policy
            assert policy.endswith("base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
            assert "unsafe" not in policy and "*" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert headers["permissions-policy"].startswith("camera=()")
            assert headers["cache-control"] == "no-cache"
            assert headers["date"].endswith(" GMT")
            assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(headers)


async def test_head_has_the_headers_and_no_body(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        _, whole, body = await browser.ask(get("/"))
        status, headers, nothing = await browser.ask(get("/", method="HEAD"), method="HEAD")
        assert (status, nothing, headers["content-length"]) == (200, b"", str(len(body)))
        assert headers.keys() == whole.keys()
        assert (await browser.ask(get("/healthz")))[2] == b"ok\n"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/static/",
        "/static/..",
        "/static/../../pyproject.toml",
        "/static/%2e%2e/index.html",
        "/static/%2e%2e%2f%2e%2e%2fpages.py",
        "/static/..%5c..%5cpages.py",
        "/static//etc/passwd",
        "/static/index.html%00.js",
        "//localhost/",
        "/index.html/",
        "*",
        "/static/%6dain.js%2f..",
        "http://localhost/nothing",
        "/\xe9",
    ],
)
async def test_what_is_not_there_is_not_found(path: str, autojump_clock: MockClock) -> None:
    async with serving() as house:
        status, _, body = await Browser(house).ask(get(path))
        assert status in (400, 404) and body.count(b"\n") == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
async def test_other_methods_are_not_allowed(method: str, autojump_clock: MockClock) -> None:
    async with serving() as house:
        status, headers, _ = await Browser(house).ask(get("/", method=method))
        assert (status, headers["allow"]) == (405, "GET, HEAD")


async def test_a_body_is_not_read(autojump_clock: MockClock) -> None:
    async with serving() as house:
        for headers in (["Content-Length: 5"], ["Transfer-Encoding: chunked"]):
            browser = Browser(house)
            status, said, _ = await browser.ask(get("/", *headers) + b"5\r\nab")
            assert (status, said["connection"]) == (200, "close")
            assert await browser.closed()


# --- who asks, and for whom -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:5555",
        "192.0.2.9",
        "[::1]:5555",
        "LocalHost:1",
        "Chat.Example",
        "chat.example.",
        "chat.example.:443",
        "chat.example:",
    ],
)
async def test_who_asks_by_a_name_of_ours_is_answered(host: str, autojump_clock: MockClock) -> None:
    async with serving(Config(public_names=("chat.example",))) as house:
        assert (await Browser(house).ask(get("/", host=host)))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "chat.example..",
        "evil.example#127.0.0.1",
        "127.0.0.1:5555:80",
        "127.0.0.1:port",
        "::1",
        "[::1",
        "127.1",
        "0x7f.1",
        "user@127.0.0.1",
        "localhost; script-src *",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_who_asks_by_another_is_not(host: str, path: str, autojump_clock: MockClock) -> None:
    """A page whose name is made to resolve to this machine is still not ours."""
    async with serving(Config(public_names=("chat.example",))) as house:
        status, headers, body = await Browser(house).ask(chrome_as(host, path))
        assert status == (421 if _is_a_host(host) else 400) and body.count(b"\n") == 1
        assert "script-src *" not in headers["content-security-policy"]


def _is_a_host(host: str) -> bool:
    """Return whether a `Host` is valid; an invalid `Host` is answered with 400 (RFC 9112, 3.2)."""
    return not any(character in host for character in "#@ [") and host.count(":") == 0


def chrome_as(host: str, path: str = "/ws") -> bytes:
    return CHROME.replace(b"/ws", path.encode(), 1).replace(b"Host: localhost:5555", f"Host: {host}".encode())


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:5556",
        "http://localhost",
        "ftp://localhost:5555",
        "http://localhost:5555.evil.example",
        "",
    ],
)
async def test_a_page_of_others_has_no_websocket(origin: str, autojump_clock: MockClock) -> None:
    async with serving() as house:
        request = CHROME.replace(b"http://localhost:5555", origin.encode())
        assert (await Browser(house).ask(request))[0] == 403


async def test_a_header_said_twice_is_both(autojump_clock: MockClock) -> None:
    ours, evil = b"Origin: http://localhost:5555\r\n", b"Origin: http://evil.example\r\n"
    both = b"Connection: keep-alive, Upgrade"
    async with serving() as house:
        for order in (ours + evil, evil + ours):
            assert (await Browser(house).ask(CHROME.replace(ours, order)))[0] == 403
        for order in (b"Connection: Upgrade\r\nConnection: x", b"Connection: x\r\nConnection: Upgrade"):
            assert (await Browser(house).ask(CHROME.replace(both, order)))[0] == 101


@pytest.mark.parametrize("origin", ["http://localhost:5555", "https://LOCALHOST:5555", None])
async def test_our_page_and_programs_have(origin: str | None, autojump_clock: MockClock) -> None:
    async with serving() as house:
        request = CHROME.replace(b"http://localhost:5555", (origin or "").encode())
        if origin is None:
            request = request.replace(b"Origin: \r\n", b"")
        status, headers, _ = await Browser(house).ask(request)
        assert status == 101
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & set(headers)


@pytest.mark.parametrize(
    ("line", "instead", "status"),
    [
        (b"Upgrade: websocket", b"Upgrade: h2c", 426),
        (b"Connection: keep-alive, Upgrade", b"Connection: keep-alive", 426),
        (b"GET /ws", b"HEAD /ws", 426),
        (b"Version: 13", b"Version: 8", 426),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZQ==", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"not base64", 400),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", 400),
    ],
)
async def test_half_an_upgrade_is_none(
    line: bytes, instead: bytes, status: int, autojump_clock: MockClock
) -> None:
    async with serving() as house:
        method = "HEAD" if instead.startswith(b"HEAD") else "GET"
        assert (await Browser(house).ask(CHROME.replace(line, instead), method=method))[0] == status


# --- abuse ------------------------------------------------------------------------------------------------


async def test_headers_have_a_bound(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        status, _, _ = await browser.ask(get("/", "X: " + "x" * (HEAD_BYTES // 2)))
        assert status == 200
        browser.send(get("/", "X: " + "x" * HEAD_BYTES)[:-4])
        assert (await browser.answer())[0] == 431
        assert await browser.closed()


async def test_a_whole_request_in_one_piece_has_the_same_bound(autojump_clock: MockClock) -> None:
    async with serving() as house:
        for large in (get("/", *["X: " + "x" * 1_000] * 9), get("/?" + "x" * HEAD_BYTES), CHROME_AND_MORE):
            browser = Browser(house)
            assert (await browser.ask(large))[0] == 431
            assert await browser.closed()


async def test_a_head_has_a_hundred_lines_at_most(autojump_clock: MockClock) -> None:
    """The parser takes some 20 µs for each: a read of 64 KiB can hold ten thousand."""
    async with serving() as house:
        browser = Browser(house)
        assert (await browser.ask(get("/", *["a: b"] * (HEAD_LINES - 3))))[0] == 200
        for heads in (["a: b"] * (HEAD_LINES - 2), ["a: b"] * 1_000, ["a: b", *[" folded"] * 500]):
            assert (await Browser(house).ask(get("/", *heads)))[0] == 431


CHROME_AND_MORE = CHROME.replace(b"Pragma:", b"X: " + b"x" * HEAD_BYTES + b"\r\nPragma:")


@pytest.mark.parametrize("begun", [b"GET", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_request_that_never_becomes_whole(begun: bytes, autojump_clock: MockClock) -> None:
    async with serving_observed() as (house, _, _):
        browser = Browser(house)
        since = trio.current_time()
        browser.send(begun)
        while trio.current_time() < since + 9:
            await trio.sleep(1)
            browser.send(b"X" if len(begun) > 3 else b"")
        assert (await browser.answer())[0] == 408
        assert await browser.closed()
        assert trio.current_time() - since <= 10


async def test_tls_is_closed_without_a_word(autojump_clock: MockClock) -> None:
    async with serving_observed() as (house, _, _):
        browser = Browser(house)
        browser.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 506)
        assert await browser.closed()
        assert trio.current_time() < 9


async def test_a_connection_that_asks_nothing_more_is_closed(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        for _ in range(3):
            assert (await browser.ask(get("/healthz")))[0] == 200
            await trio.sleep(9)
        assert (await browser.ask(get("/healthz")))[0] == 200
        since = trio.current_time()
        assert await browser.closed()
        assert trio.current_time() - since == 10


async def test_a_thousand_requests_in_one_piece_are_answered_in_turn(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        browser.send(b"".join(get(f"/{n}") + get("/healthz") for n in range(500)))
        for _ in range(500):
            assert (await browser.answer())[0] == 404
            assert (await browser.answer())[2] == b"ok\n"


async def test_who_does_not_read_the_answer_is_let_go(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house, buffer_bytes=100)
        for half in (get("/")[:90], get("/")[90:]):
            browser.send(half)
        await wait_all_tasks_blocked()
        assert house.server.sessions == 1
        await trio.sleep(61)
        assert house.server.sessions == 0


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"CAP LS 302\r\nNICK ada\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(request_: bytes, autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        browser.send(request_)
        status, headers, body = await browser.answer()
        assert (status, headers["connection"], body) == (400, "close", b"invalid request\n")
        assert await browser.closed()


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
async def test_another_version_is_none_of_ours(request_: bytes, autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        browser.send(request_)
        assert (await browser.answer())[0] == 505
        assert await browser.closed()


@pytest.mark.parametrize(
    ("line", "instead", "status"),
    [(b"ws HTTP/1.1", b"ws HTTP/1.0", 426), (b"Host:", b"Content-Length: 5\r\nHost:", 400)],
)
async def test_an_upgrade_is_a_request_of_today_without_a_body(
    line: bytes, instead: bytes, status: int, autojump_clock: MockClock
) -> None:
    async with serving() as house:
        assert (await Browser(house).ask(CHROME.replace(line, instead)))[0] == status


async def test_one_who_goes_in_the_middle_is_no_news(autojump_clock: MockClock) -> None:
    async with serving() as house:
        for begun in (b"", b"GET / HT", get("/")):
            browser = Browser(house)
            browser.send(begun)
            browser.link.close()
        await wait_all_tasks_blocked()
        assert house.server.sessions == 0


async def test_a_bug_ends_that_connection_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_observed() as (house, _, _):
        monkeypatch.setattr("trio_chat.server.http_routes.formatdate", lambda *_, **__: 1 / 0)
        browser = Browser(house)
        browser.send(get("/"))
        assert await browser.closed()
    assert [record.message for record in caplog.records] == ["a bug ended a connection before its hello"]
    caplog.clear()


# --- the server -------------------------------------------------------------------------------------------


async def test_the_time_is_that_of_the_servers_clock(autojump_clock: MockClock) -> None:
    async with serving() as house:
        _, headers, _ = await Browser(house).ask(get("/"))
        assert START_MS == 1_790_000_000_000
        assert headers["date"] == "Mon, 21 Sep 2026 14:13:20 GMT"


async def test_a_journal_that_fails_is_no_good_health(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(store=ScriptedStore(commits=["before"])) as house:
        assert (await Browser(house).ask(get("/healthz")))[0] == 200
        ada = await house.enter("ada", "lobby")
        ada.send(Say("lobby", "hi", ref="s"))
        await ada.answer(Error, code="unavailable", ref="s")
        status, _, body = await Browser(house).ask(get("/healthz"))
        assert (status, body) == (503, b"unhealthy\n")
        await trio.sleep(5)
        assert await ada.say("again") == 1
        assert (await Browser(house).ask(get("/healthz")))[0] == 200
    caplog.clear()


async def test_health_comes_back_by_itself_and_no_request_writes(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = FailingStore()
    async with serving(store=store) as house:
        ada = await house.enter("ada", "lobby")
        ada.send(Say("lobby", "hi", ref="s"))
        await ada.answer(Error, code="unavailable", ref="s")
        browser = Browser(house)
        for _ in range(50):
            assert (await browser.ask(get("/healthz")))[0] == 503
        assert (len(store.batches), store.probes) == (1, [])
        await trio.sleep(3.5)
        assert len(store.probes) == 3
        assert (await browser.ask(get("/healthz")))[0] == 503
        store.failing = False
        await trio.sleep(1)
        assert (await browser.ask(get("/healthz")))[0] == 200
    caplog.clear()


async def test_a_browser_too_is_told_that_the_server_is_full(autojump_clock: MockClock) -> None:
    async with serving(connections=2) as house:
        await house.enter("ada")
        first = Browser(house)
        assert (await first.ask(get("/")))[0] == 200  # which counts
        late = Browser(house)
        status, headers, _ = await late.ask(get("/"))
        assert (status, headers["retry-after"]) == (503, "5")
        assert await late.closed()
        assert await first.closed()
        assert (await Browser(house).ask(get("/")))[0] == 200


async def test_a_server_that_stops_does_not_wait_for_new_connections(autojump_clock: MockClock) -> None:
    async with serving() as house:
        silent, idle = house.dial(), Browser(house)
        assert (await idle.ask(get("/")))[0] == 200
        since = trio.current_time()
    assert trio.current_time() - since <= 2
    await silent.ended_with("draining")
    assert await idle.closed()


async def test_without_the_web_http_is_none_of_ours(autojump_clock: MockClock) -> None:
    async with serving(Config(web=False)) as house:
        stranger = house.dial()
        stranger.send_bytes(get("/"))
        await stranger.ended_with("frame_too_large")
