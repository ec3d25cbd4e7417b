"""Two servers and one browser: neither is sent what was written for the other, nor the other's token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.conftest import PATIENCE_MS
from tests.browser.processes import Server
from tests.browser.proxy import Proxy, proxy
from tests.browser.visitor import Visitor, Watch

pytestmark = pytest.mark.short

# What the browser itself says while there is no server behind the proxy.
NO_ANSWER = ("WebSocket connection to", "net::ERR_EMPTY_RESPONSE")

Come = Callable[[str], Visitor]


@pytest.fixture
def front() -> Iterator[Proxy]:
    with proxy() as running:
        yield running


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers that run, each on a journal of its own."""
    made = []
    for name in "ab":
        (tmp_path / name).mkdir()
        made.append(Server(tmp_path / name))
    try:
        for server in made:
            server.start()
        yield made[0], made[1]
    finally:
        for server in made:
            server.stop()


@pytest.fixture
def visitor(browser: Browser, front: Proxy) -> Iterator[Come]:
    """Make a page of one browser at a path of the proxy."""
    context = browser.new_context(locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(PATIENCE_MS)
    watch = Watch(context, front.host)
    for part in NO_ANSWER:
        watch.forgive(part)
    yield lambda path: Visitor(context.new_page(), watch, front.address(path))
    context.close()
    assert not watch.faults(), "\n".join(watch.faults())


def stored(context: BrowserContext) -> dict[str, Any]:
    """Return all that the browser keeps for the origin."""
    found = context.pages[0].evaluate("() => ({...localStorage})")
    return {key: json.loads(value) for key, value in found.items()}


def tokens(context: BrowserContext) -> dict[str, str]:
    """Return the tokens that are kept, by the path and the id of their servers."""
    found = stored(context)
    return {key: value["token"] for key, value in found.items() if key.endswith("/me") and value["token"]}


def test_servers_at_two_paths_of_one_name_have_nothing_in_common(
    visitor: Come, front: Proxy, servers: tuple[Server, Server]
) -> None:
    a, b = servers
    front.routes = {"/a": a, "/b": b}
    ada = visitor("/a")
    ada.come("ada")
    ada.say("hello, a")
    ada.sees("hello, a")
    a.kill()
    ada.say("only for a")
    ada.write("a draft for a")
    expect(ada.get("#rows .fate")).to_have_count(1)
    # The same tab: what its last load has not sent would be sent at once.
    ada.page.goto(f"{front.address('/b')}/#lobby")
    expect(ada.get("#card")).to_be_visible()
    ada.call_me("grace")
    ada.is_connected()
    expect(ada.get("#say")).to_have_value("")
    ada.say("hello, b")
    ada.sees("hello, b")
    a.start()
    ada.page.goto(f"{front.address('/a')}/#lobby")
    ada.is_connected()
    expect(ada.get("#you-name")).to_have_text("ada")
    ada.sees("hello, a", "only for a")
    expect(ada.get("#say")).to_have_value("a draft for a")
    assert a.texts() == {"lobby": ["hello, a", "only for a"]}
    assert b.texts() == {"lobby": ["hello, b"]}
    kept = tokens(ada.page.context)
    assert len(kept) == 2 == len(set(kept.values()))


def test_another_server_at_the_same_address_is_sent_nothing_of_the_first(
    visitor: Come, front: Proxy, servers: tuple[Server, Server]
) -> None:
    a, b = servers
    front.routes = {"": a}
    ada = visitor("")
    ada.come("ada")
    ada.say("hello, a", "/join attic")
    expect(ada.get("#room-list .name")).to_have_count(2)
    a.kill()
    front.cut()
    ada.say("only for a")
    expect(ada.get("#rows .fate")).to_have_count(1)
    front.routes = {"": b}
    expect(ada.get("#note")).to_contain_text("Another server answers here now", timeout=45_000)
    ada.is_connected()
    expect(ada.get("#you-name")).to_have_text("ada")
    ada.places("lobby")
    expect(ada.get("#rows .fate")).to_have_count(0)
    ada.say("hello, b")
    ada.sees("hello, b")
    assert b.texts() == {"lobby": ["hello, b"]}
    kept = tokens(ada.page.context)
    assert len(kept) == 2 == len(set(kept.values()))
    b.kill()
    a.start()
    front.routes = {"": a}
    front.cut()
    expect(ada.get("#room-list .name")).to_have_text(["lobby", "attic"], timeout=45_000)
    ada.is_connected()
    expect(ada.get("#rows .fate")).to_have_count(0)
    assert sorted(a.texts().items()) == [("attic", ["only for a"]), ("lobby", ["hello, a"])]


def test_a_journal_that_is_begun_anew_is_another_server_to_all_tabs(
    visitor: Come, front: Proxy, servers: tuple[Server, Server]
) -> None:
    a, b = servers
    front.routes = {"": a}
    first = visitor("")
    first.come("ada")
    second = first.another_tab()
    a.kill()
    front.cut()
    first.say("from the first")
    second.say("from the second")
    front.routes = {"": b}
    for tab in (first, second):
        tab.is_connected()
        expect(tab.get("#card")).to_be_hidden()
        expect(tab.get("#you-name")).to_have_text("ada")
        expect(tab.get("#rows .fate")).to_have_count(0)
    first.say("hello, b")
    for tab in (first, second):
        tab.sees("hello, b")
        tab.names("ada")
    assert b.texts() == {"lobby": ["hello, b"]}
    assert len(tokens(first.page.context)) == 2


# As a page of before kept it: by origin, whatever the server.
_AS_BEFORE = """
() => {
  const kept = {...localStorage};
  localStorage.clear();
  for (const [key, value] of Object.entries(kept)) {
    const older = key.replace(/^trio-chat\\/[^/]*\\/[^/]*\\//, "trio-chat.");
    if (key !== "trio-chat/%2F") localStorage.setItem(older, value);
  }
}
"""


def test_what_an_older_page_kept_is_there_after_an_upgrade(
    visitor: Come, front: Proxy, servers: tuple[Server, Server]
) -> None:
    a, _ = servers
    front.routes = {"": a}
    ada = visitor("")
    ada.come("ada")
    ada.say("hello", "/join kitchen")
    ada.places("lobby", "kitchen")
    token = tokens(ada.page.context)
    a.pause()
    ada.say("under way", "behind it")
    ada.write("half a thought")
    expect(ada.get("#rows .fate")).to_have_count(2)
    ada.page.evaluate(f"() => {{ addEventListener('pagehide', {_AS_BEFORE}); location.reload(); }}")
    a.resume()
    ada.is_connected()
    expect(ada.get("#card")).to_be_hidden()
    expect(ada.get("#you-name")).to_have_text("ada")
    ada.places("lobby", "kitchen")
    ada.sees("under way", "behind it")
    expect(ada.get("#say")).to_have_value("half a thought")
    assert tokens(ada.page.context) | {"trio-chat.me": ""} == token | {"trio-chat.me": ""}
    assert a.texts() == {"lobby": ["hello"], "kitchen": ["under way", "behind it"]}
