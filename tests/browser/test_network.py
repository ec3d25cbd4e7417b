"""The network comes and goes, and servers ask for odd pauses: what the page says, and when it tries again."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.short

_SHORTEST_PAUSE_MS = 250
_STATUS = "No connection: this device is offline. What you write is sent when it is back."


class Tries:
    """Counts the connections of a page, which reach the server unless `refuse` has a goodbye for them."""

    def __init__(self, page: Page) -> None:
        self.count = 0
        self.refuse: dict[str, object] | None = None
        page.route_web_socket("**/ws", self._opened)

    def _opened(self, route: WebSocketRoute) -> None:
        self.count += 1
        if self.refuse is None:
            route.connect_to_server()
            return
        route.send(json.dumps({"type": "bye", "code": "draining", "detail": "later", **self.refuse}))
        route.close()


def _offline(visitor: Visitor, offline: bool) -> None:
    visitor.page.context.set_offline(offline)


def test_offline_is_said_at_once_and_nothing_is_tried_until_online(visit: Visit, server: Server) -> None:
    ada = visit()
    tries = Tries(ada.page)
    clock = ada.page.clock
    clock.install()
    ada.come("ada")
    clock.pause_at(ada.page.evaluate("Date.now()") / 1000 + 1)
    _offline(ada, True)
    clock.run_for(100)
    expect(ada.get("#status-text")).to_have_text(_STATUS)
    expect(ada.get("#you-state")).to_have_text("not connected")
    ada.say("is anybody there?")
    clock.run_for(300_000)
    assert tries.count == 1
    _offline(ada, False)
    clock.run_for(100)  # and no more: the next try is not waited for
    clock.resume()
    ada.sees("is anybody there?")
    assert tries.count == 2
    expect(ada.get("#status")).to_be_hidden()


@pytest.mark.parametrize("after_s", [0, 1, 10**9, 2**53 - 1])
def test_no_goodbye_makes_the_page_connect_without_a_pause(visit: Visit, after_s: int) -> None:
    ada = visit()
    tries = Tries(ada.page)
    ada.page.add_init_script("Math.random = () => 0;")
    clock = ada.page.clock
    clock.install()
    ada.come("ada")
    clock.pause_at(ada.page.evaluate("Date.now()") / 1000 + 1)
    tries.refuse = {"reconnect": True, "after_s": after_s}
    ada.page.evaluate("dispatchEvent(new Event('offline')); dispatchEvent(new Event('online'));")
    for _ in range(40):
        clock.run_for(100)
    if after_s <= 1:
        assert 2 <= tries.count <= 2 + 4_000 / _SHORTEST_PAUSE_MS
    else:
        assert tries.count == 2
        clock.run_for(3_601_000)
        assert tries.count == 3, "an hour later, and not never"
