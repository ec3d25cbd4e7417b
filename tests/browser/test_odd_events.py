"""A server that sends what docs/protocol.md does not allow: the page drops it, and goes on."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.short

SAID: dict[str, object] = {
    "type": "said",
    "room": "lobby",
    "at": 1_700_000_000_000,
    "by": "bob",
    "text": "hi",
}
ODD_TIMES: tuple[object, ...] = (None, "now", "", 9_000_000_000_000_000, -1, 1.5, [], {})
ODD: tuple[object, ...] = (
    *({**SAID, "seq": 9, "at": at} for at in ODD_TIMES),
    {"type": "said", "room": "lobby", "seq": 9, "by": "bob", "text": "no time"},
    {**SAID, "seq": "9"},
    {**SAID, "seq": 9, "text": None},
    {**SAID, "seq": 9, "by": {"name": "bob"}},
    {**SAID, "seq": 9, "type": "retitled", "text": 5},
    {"type": "whispered", "by": "bob", "to": "ada", "text": "hi", "at": 9_000_000_000_000_000},
    {"type": "presence", "room": "lobby", "members": "two", "joined": ["bob"]},
    {"type": "presence", "room": "lobby", "members": 2, "joined": "bob"},
    {"type": "presence", "room": "lobby", "members": 2, "left": [None]},
    {"type": "members", "room": "lobby", "names": [5], "count": 1, "more": False},
    {"type": "typing", "room": "lobby", "by": None},
    {"type": "gap", "room": "lobby", "after": "1", "next": 5, "kept": True},
    {"type": "named"},
    {"type": "error", "code": "unavailable"},
    {"type": "bye"},
    {"type": ["said"]},
    {"type": "constructor"},
    [],
    "said",
    None,
)
# Fails where a row is drawn, whatever its event holds.
_BREAK = """
(at) => {
  const { toISOString } = Date.prototype;
  Date.prototype.toISOString = function () {
    if (this.getTime() === at) throw new Error("planted");
    return toISOString.call(this);
  };
}
"""

# Fails where a search result with this text is drawn.
_BREAK_RESULT = """
(text) => {
  const { append } = Element.prototype;
  Element.prototype.append = function (...nodes) {
    if (this.className === "found-text" && nodes[0].textContent === text) throw new Error("planted");
    append.apply(this, nodes);
  };
}
"""


def _intercepted(visitor: Visitor) -> list[WebSocketRoute]:
    """Return the page's connections, in which a test can speak as the server."""
    routes: list[WebSocketRoute] = []

    def connect(route: WebSocketRoute) -> None:
        route.connect_to_server()
        routes.append(route)

    visitor.page.route_web_socket("**/ws", connect)
    return routes


@pytest.mark.parametrize("together", [True, False])
def test_an_odd_event_is_dropped_and_the_page_goes_on(visit: Visit, together: bool) -> None:
    ada = visit()
    ada.watch.forgive("dropped a malformed")
    routes = _intercepted(ada)
    ada.come("ada")
    ada.say("before")
    ada.sees("before")
    odd = [json.dumps(event) for event in ODD]
    for message in ["\n".join(odd)] if together else odd:
        routes[-1].send(message)
    ada.say("after")
    ada.sees("before", "after")
    ada.names("ada")
    assert sum("dropped a malformed" in each for each in ada.watch.found) == len(ODD) - 1, (
        "one has a type of its own"
    )
    assert len(routes) == 1


def test_a_row_that_cannot_be_drawn_is_a_placeholder(visit: Visit) -> None:
    ada = visit()
    ada.watch.forgive("cannot draw the row entry")
    routes = _intercepted(ada)
    ada.come("ada")
    ada.say("before")
    ada.sees("before")
    at = int(SAID["at"])  # type: ignore[call-overload]  # a number
    ada.page.evaluate(_BREAK, at)
    routes[-1].send("\n".join(json.dumps({**SAID, "seq": seq, "at": at + seq}) for seq in (2, 3)))
    routes[-1].send(json.dumps({**SAID, "seq": 4, "at": at}))
    routes[-1].send(json.dumps({**SAID, "seq": 5, "at": at + 5, "text": "drawn"}))
    ada.sees("before", "hi", "hi", "drawn")
    expect(ada.get("#rows .undrawn")).to_have_text("This cannot be shown here")
    expect(ada.get("#rows .undrawn")).to_have_attribute("data-seq", "4")
    assert any("cannot draw the row entry 4" in each for each in ada.watch.found)


def test_a_search_result_that_cannot_be_drawn_is_a_placeholder(visit: Visit) -> None:
    ada = visit()
    ada.watch.forgive("cannot draw the result")
    ada.come("ada")
    ada.say("same one", "same two", "same three")
    ada.sees("same one", "same two", "same three")
    ada.page.evaluate(_BREAK_RESULT, "same two")
    ada.say("/search same")
    expect(ada.get("#search-state")).to_have_text("3 in #lobby, newest first")
    expect(ada.get("#search-list > li")).to_contain_text(
        ["same three", "This cannot be shown here", "same one"]
    )
    assert any("cannot draw the result 2" in each for each in ada.watch.found)


def test_a_time_at_the_end_of_the_calendar_is_shown(visit: Visit) -> None:
    ada = visit(timezone_id="Pacific/Kiritimati")
    routes = _intercepted(ada)
    ada.come("ada")
    ada.say("before")
    ada.sees("before")
    routes[-1].send(json.dumps({**SAID, "seq": 2, "at": 253_402_300_799_999, "text": "late"}))
    ada.sees("before", "late")
    expect(ada.get("#rows time").last).to_have_attribute("datetime", "9999-12-31T23:59:59.999Z")


def test_a_malformed_welcome_is_told_on_the_card(visit: Visit) -> None:
    ada = visit()
    ada.watch.forgive("dropped a malformed")

    def connect(route: WebSocketRoute) -> None:
        route.on_message(lambda _: route.send(json.dumps({"type": "welcome", "ref": "hello", "ping_s": 1})))

    ada.page.route_web_socket("**/ws", connect)
    ada.open("lobby")
    ada.call_me("ada")
    expect(ada.get("body")).to_contain_text("annot read the server's answer: invalid welcome.version")


_KEEP = """
(odd) => {
  const me = Object.keys(localStorage).find((key) => key.endsWith("/me"));
  for (const key of Object.keys(localStorage)) if (key !== me) localStorage.setItem(key, odd);
  for (const key of ["rooms", "last", "draft.#lobby", "read.#lobby"]) {
    localStorage.setItem(me.slice(0, -2) + key, odd);
  }
}
"""


@pytest.mark.parametrize("odd", ["5", "{}", '"x"', "[5]", "null", "true"])
def test_odd_values_in_the_storage_do_not_blank_the_page(visit: Visit, odd: str) -> None:
    ada = visit()
    ada.come("ada")
    ada.page.evaluate(_KEEP, odd)
    ada.page.goto("about:blank")
    ada.open()
    if ada.get("#app").is_hidden():
        ada.call_me("ada")
    ada.is_connected()
    ada.say("hi")
    expect(ada.get("#rows .text").last).to_have_text("hi")
