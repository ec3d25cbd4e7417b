"""The server is killed, or the page is loaded anew, while somebody writes: nothing is lost or doubled."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server
from tests.browser.visitor import BACK_MS

EACH = 10
KILLED = "ERR_CONNECTION_REFUSED"  # said by the browser itself while there is no server


@pytest.mark.short
def test_a_server_is_killed_and_started_while_both_type(visit: Visit, server: Server) -> None:
    ada, bob = visit(), visit()
    for page, name in ((ada, "ada"), (bob, "bob")):
        page.watch.forgive(KILLED)
        page.come(name)
    for n in range(EACH):
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


def test_a_server_that_is_away_is_waited_for(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.watch.forgive(KILLED)
    ada.come("ada")
    server.kill()
    ada.say("is anybody there?")
    status = ada.page.get_by_role("status").filter(has_text="No connection")
    expect(status).to_be_visible()
    expect(ada.get("#you-state")).to_have_text("not connected")
    server.start()
    again = ada.page.get_by_role("button", name="Try now")
    if again.is_visible() and again.is_enabled():  # or it came back just now, by itself
        again.click(force=True)
    ada.is_connected()
    expect(status).to_be_hidden()
    ada.sees("is anybody there?")
