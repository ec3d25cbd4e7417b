"""The server is killed, or the page is loaded anew, while somebody writes: nothing is lost or doubled."""

from __future__ import annotations

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server
from tests.browser.visitor import BACK_MS

EACH = 10
OUTBOX_MAX = 200  # as in outbox.js
KILLED = "ERR_CONNECTION_REFUSED"  # said by the browser itself while there is no server


@pytest.mark.short
def test_a_server_is_killed_and_started_while_both_type(visit: Visit, server: Server) -> None:
    ada, bob = visit(), visit()
    for page, name in ((ada, "ada"), (bob, "bob")):
        page.watch.forgive(KILLED)
        page.come(name)
    for n in range(EACH):
        if n == 3:
            server.pause()  # what is typed now is under way, and goes down with it
        ada.say(f"ada {n}")
        bob.say(f"bob {n}")
        if n == 3:
            server.kill()
        if n == 7:
            expect(ada.get("#rows .fate").last).to_have_text("Waiting for the connection")
            expect(ada.page.get_by_role("status").filter(has_text="No connection")).to_be_visible()
            server.start()
    ada.is_connected()
    bob.is_connected()
    for page in (ada, bob):
        expect(page.get("#rows [data-seq]")).to_have_count(2 * EACH, timeout=BACK_MS)
        expect(page.get("#rows .fate")).to_have_count(0)
        expect(page.get("#status")).to_be_hidden()
        assert page.numbers() == list(range(1, 2 * EACH + 1))
    said = ada.talk
    assert bob.talk == said
    for name in ("ada", "bob"):
        own = [text for text in said if text.startswith(name)]
        assert own == [f"{name} {n}" for n in range(EACH)]
    later = visit()
    later.come("carol")
    later.sees(*said)


@pytest.mark.short
def test_a_line_whose_ack_was_lost_is_said_once(visit: Visit, server: Server) -> None:
    ada, bob = visit(), visit()
    lines: list[Line] = []
    ada.page.route_web_socket("**/ws", lambda route: lines.append(Line(route)))
    ada.come("ada")
    bob.come("bob")
    lines[0].deaf = True
    ada.say("once")
    bob.sees("once")
    expect(ada.get("#rows .fate")).to_have_text("Sending…")
    lines[0].cut()
    ada.is_connected()
    assert len(lines) == 2
    for page in (ada, bob):
        page.sees("once")
    ada.say("and again")
    for page in (ada, bob):
        page.sees("once", "and again")


_SAY_MANY = """
(many) => {
  const say = document.querySelector("#say");
  for (let n = 0; n < many; n++) {
    say.value = `line ${n}`;
    say.form.requestSubmit();
  }
}
"""


class Line:
    """A page's connection. A deaf one hears nothing more of the server, which hears all."""

    def __init__(self, route: WebSocketRoute) -> None:
        self.deaf = False
        self._route = route
        self._server = route.connect_to_server()
        self._server.on_message(self._heard)

    def cut(self) -> None:
        """For both of them."""
        self._server.close()
        self._route.close()

    def _heard(self, message: str | bytes) -> None:
        if not self.deaf:
            self._route.send(message)


@pytest.mark.short
def test_a_reload_keeps_who_one_is_and_what_is_typed(visit: Visit) -> None:
    ada = visit()
    ada.come("ada")
    ada.say("/join kitchen", "hello, kitchen")
    ada.sees("hello, kitchen")
    ada.write("half a thought")
    ada.page.reload()
    ada.is_connected()
    expect(ada.get("#card")).to_be_hidden()
    expect(ada.get("#you-name")).to_have_text("ada")
    ada.places("lobby", "kitchen")
    ada.sees("hello, kitchen")
    expect(ada.get("#say")).to_have_value("half a thought")
    ada.say("/join lobby")
    expect(ada.get("#say")).to_have_value("")


def test_what_was_not_sent_outlives_a_reload_and_is_said_once(visit: Visit, server: Server) -> None:
    ada, bob = visit(), visit()
    ada.come("ada")
    bob.come("bob")
    ada.say("before")
    ada.sees("before")
    server.pause()
    ada.say("under way", "behind it")
    expect(ada.get("#rows .fate")).to_have_count(2)
    ada.page.evaluate("location.reload()")
    server.resume()  # it reads what was under way, and then the same from the new page
    ada.is_connected()
    for page in (ada, bob):
        page.sees("before", "under way", "behind it")


def test_a_whisper_for_which_there_is_no_room_stays_where_it_was_typed(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.watch.forgive(KILLED)
    ada.come("ada")
    server.kill()
    ada.page.evaluate(_SAY_MANY, OUTBOX_MAX)
    expect(ada.get("#rows .fate")).to_have_count(OUTBOX_MAX)
    for text in ("one more", "/msg bob psst"):
        ada.say(text)
        expect(ada.get("#note")).to_contain_text("Too much is waiting")
        expect(ada.get("#say")).to_have_value(text)


def test_a_tab_that_was_away_comes_back_by_the_name_that_was_taken_meanwhile(visit: Visit) -> None:
    first, bob = visit(), visit()
    bob.come("bob")
    first.come("ada")
    lines: list[Line] = []
    away = False

    def connect(route: WebSocketRoute) -> None:
        if away:
            route.close()
        else:
            lines.append(Line(route))

    first.page.context.route_web_socket("**/ws", connect)
    second = first.another_tab()
    away = True
    lines[0].cut()
    expect(second.get("#you-state")).to_have_text("not connected")
    first.say("/nick grace")
    expect(first.get("#you-name")).to_have_text("grace")
    first.page.close()
    bob.names("bob")
    away = False
    second.is_connected()
    expect(second.get("#you-name")).to_have_text("grace")
    bob.names("bob", "grace")


def test_one_need_not_wait_for_the_next_try(visit: Visit, server: Server) -> None:
    ada, bob = visit(), visit()
    ada.watch.forgive(KILLED)
    bob.watch.forgive(KILLED)
    ada.page.add_init_script("Math.random = () => 0.999;")  # so the next try is a second away
    clock = ada.page.clock
    clock.install()
    with ada.page.expect_websocket() as opened:
        ada.come("ada")
    clock.pause_at(ada.page.evaluate("Date.now()") / 1000 + 1)
    server.kill()
    ada.say("is anybody there?")
    if not opened.value.is_closed():
        opened.value.wait_for_event("close")
    clock.run_for(100)
    expect(ada.page.get_by_role("status").filter(has_text="No connection")).to_be_visible()
    expect(ada.get("#you-state")).to_have_text("not connected")
    server.start()
    bob.come("bob")
    ada.page.get_by_role("button", name="Try now").click()
    bob.names("bob", "ada")
    bob.sees("is anybody there?")
    clock.resume()
    expect(ada.get("#status")).to_be_hidden()
    ada.sees("is anybody there?")
