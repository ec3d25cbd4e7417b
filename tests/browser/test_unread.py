"""What is unread: mentions apart from the rest, cleared when they were seen, told when they were missed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.short

_AWAY = "document.hasFocus = () => false;"
_BACK = "delete document.hasFocus; dispatchEvent(new Event('focus'));"
_NOTIFICATIONS = """
window.shown = [];
window.Notification = class {
  static permission = "granted";
  constructor(title, { body }) { window.shown.push([title, body]); }
};
localStorage.setItem("trio-chat.notify", "true");
"""


def _counts(visitor: Visitor, room: str, *counts: str) -> None:
    row = visitor.get("#room-list li").filter(has_text=room)
    expect(row.locator(".count > [aria-hidden]")).to_have_text(list(counts))


def test_mentions_and_other_unread_messages_are_counted_apart(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada", "kitchen")
    ada.say("/join lobby")
    expect(ada.get("#title")).to_have_text("#lobby")
    with Terminal(server, "bob", "kitchen") as bob:
        bob.say("one", "two")
        _counts(ada, "kitchen", "2")
        expect(ada.page).to_have_title(re.compile(r"^\(2\) #lobby"))
        bob.say("ada, the soup!", "ada?", "three")
        _counts(ada, "kitchen", "@2", "3")
        expect(ada.get("#room-list li").filter(has_text="kitchen")).to_contain_text("2 mention you")
        expect(ada.page).to_have_title(re.compile(r"^\(@\) #lobby"))
        ada.say("/join kitchen")
        _counts(ada, "kitchen")


def test_a_mention_far_back_is_cleared_when_it_was_seen(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada", "kitchen")
    with Terminal(server, "bob", "kitchen") as bob:
        ada.page.evaluate(_AWAY)
        bob.say("ada, are you there?", *(f"message {n}" for n in range(90)))
        expect(ada.get("#rows .text").last).to_have_text("message 89")
        _counts(ada, "kitchen", "@1", "90")
        ada.page.evaluate(_BACK)
        _counts(ada, "kitchen", "@1")
        ada.page.reload()
        ada.is_connected()
        _counts(ada, "kitchen", "@1")
        ada.page.get_by_role("button", name="You are mentioned").click()
        expect(ada.get("#rows .called")).to_be_in_viewport()
        _counts(ada, "kitchen")
        expect(ada.get("#unread-above")).to_be_hidden()
        ada.page.reload()
        ada.is_connected()
        expect(ada.get("#rows .text").last).to_have_text("message 89")
        _counts(ada, "kitchen")


@pytest.mark.parametrize("many", [91, 450])
def test_a_mention_that_came_while_the_page_was_closed_is_found(
    visit: Visit, server: Server, many: int
) -> None:
    """Also when it is further back than what the server sends by itself."""
    ada = visit()
    ada.come("ada", "kitchen")
    with Terminal(server, "bob", "kitchen") as bob:
        bob.say("before")
        ada.sees("before")
        ada.page.goto("about:blank")
        bob.say("ada, are you there?", *(f"message {n}" for n in range(many)))
        bob.hear(f"message {many - 1}")
        ada.open("lobby")
        ada.is_connected()
        _counts(ada, "kitchen", "@1", str(many) if many < 99 else "99+")
        ada.open("kitchen")
        expect(ada.get("#title")).to_have_text("#kitchen")
        ada.page.get_by_role("button", name="You are mentioned").click()
        expect(ada.get("#rows .called")).to_be_in_viewport()
        expect(ada.get("#room-list .count.called")).to_have_count(0)


def test_a_room_that_was_empty_at_first_is_unread_from_its_first_line(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada", "kitchen")
    expect(ada.get("#empty")).to_be_visible()
    ada.page.goto("about:blank")
    with Terminal(server, "bob", "kitchen") as bob:
        bob.say(*(f"message {n}" for n in range(40)))
        bob.hear("message 39")
        ada.open("lobby")
        ada.is_connected()
        _counts(ada, "kitchen", "40")


def test_mentions_that_were_missed_are_told_once(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.page.add_init_script(_NOTIFICATIONS)
    ada.come("ada", "kitchen")
    ada.say("/join lobby")
    expect(ada.get("#title")).to_have_text("#lobby")
    with Terminal(server, "bob", "kitchen", "lobby") as bob:
        bob.say("/join kitchen", "live, ada")
        ada.page.wait_for_function("() => window.shown.length === 1")
        ada.page.context.set_offline(True)
        expect(ada.get("#you-state")).to_have_text("not connected")
        bob.say("ada, one", "not for her", "ada, two", "/join lobby", "ada, three")
        bob.hear("ada, three")
        ada.page.evaluate(_AWAY)
        ada.page.context.set_offline(False)
        ada.is_connected()
        ada.page.wait_for_function("() => window.shown.length > 1")
        shown = ada.page.evaluate("() => window.shown.slice(1)")
        assert shown == [["3 mentions while you were disconnected", "in #kitchen, #lobby"]]


def test_the_active_room_is_in_sight_among_many(visit: Visit, server: Server) -> None:
    ada = visit(viewport={"width": 1000, "height": 600})
    ada.come("ada")
    for n in range(60):
        ada.page.evaluate("room => { location.hash = room }", f"room-{n:02}")
        expect(ada.get("#title")).to_have_text(f"#room-{n:02}")
    active = ada.get("#room-list [aria-current]")
    expect(active).to_have_text("#room-59")
    expect(active).to_be_in_viewport(ratio=1)
    ada.open("room-05")
    expect(active).to_have_text("#room-05")
    expect(active).to_be_in_viewport(ratio=1)
    ada.open("room-40")
    expect(ada.get("#title")).to_have_text("#room-40")
    ada.page.reload()
    ada.is_connected()
    expect(active).to_have_text("#room-40")
    expect(active).to_be_in_viewport(ratio=1)
    for _ in range(25):
        ada.page.keyboard.press("Alt+ArrowUp")
    expect(active).to_be_in_viewport(ratio=1)
