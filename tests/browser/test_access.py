"""Everybody can use the page: with the keyboard alone, with a screen reader, in the dark, on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal
from tests.browser.visitor import Visitor

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
_FOCUSED = """
() => {
  const node = document.activeElement;
  const ring = [node, node.closest(".box")].filter(Boolean).map(each => getComputedStyle(each));
  return {
    name: node.id || node.closest("[id]")?.id || node.localName,
    seen: ring.some(style => style.outlineStyle !== "none" || style.boxShadow !== "none"),
  };
}
"""

# All in one step, without a frame between.
_SEND_STATES = """
() => {
  const say = document.querySelector("#say");
  const send = document.querySelector("#send");
  const states = [send.disabled];
  const press = (key) => {
    say.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true, bubbles: true }));
    states.push(send.disabled);
  };
  press("ArrowUp");
  press("Enter");
  say.value = "typed";
  say.dispatchEvent(new Event("input"));
  states.push(send.disabled);
  say.value = "";
  say.dispatchEvent(new Event("input"));
  states.push(send.disabled);
  return states;
}
"""


def is_accessible(page: Page, where: str) -> None:
    """No rule of axe is broken."""
    results = Axe().run(page, options=RULES)
    assert results.violations_count == 0, f"{where}: {results.generate_report()}"


@pytest.mark.short
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible(visit: Visit, server: Server, scheme: str) -> None:
    ada = visit(color_scheme=scheme)
    ada.open("lobby")
    expect(ada.page.get_by_label("Your name")).to_be_focused()
    is_accessible(ada.page, "the card")
    ada.call_me("ada")
    ada.is_connected()
    with Terminal(server, "bob", "lobby") as bob:
        bob.say("hello ada, see https://example.org", "/me waves", "/topic lunch", "/msg ada psst")
        ada.say("/nothing", "hello")
        expect(ada.get("#thread-list .count")).to_be_visible()
        expect(ada.get("#rows .own .text")).to_have_text("hello")
        is_accessible(ada.page, "the talk")
        for how, dialog in (
            ("Control+k", "switcher"),
            ("Control+Shift+F", "search"),
            ("#topic", "ask"),
            ("#you", "settings"),
            ("/help", "help"),
        ):
            open_by(ada, how)
            expect(ada.get(f"#{dialog}")).to_be_visible()
            is_accessible(ada.page, dialog)
            ada.page.keyboard.press("Escape")
            expect(ada.get(f"#{dialog}")).to_be_hidden()
        server.pause()
        ada.say("under way")
        expect(ada.get("#rows .fate")).to_be_visible()
        is_accessible(ada.page, "a line that is being sent")
        server.resume()


def open_by(ada: Visitor, how: str) -> None:
    """A key, a button, or a command."""
    if how.startswith("#"):
        ada.get(how).click()
    elif how.startswith("/"):
        ada.say(how)
    else:
        ada.page.keyboard.press(how)


@pytest.mark.short
def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    with Terminal(server, "bob", "lobby"):
        ada.names("ada", "bob")
        assert ada.get("[tabindex]").evaluate_all("nodes => nodes.every(node => node.tabIndex <= 0)")
        ada.write("something to send")
        expect(ada.get("#send")).to_be_enabled()
        reached: list[str] = []
        for _ in range(40):
            ada.page.keyboard.press("Tab")
            focused = ada.page.evaluate(_FOCUSED)
            if focused["name"] == "body":
                continue  # the browser's own controls, on the way round
            assert focused["seen"], f"nothing shows that {focused['name']} has the focus"
            reached.append(focused["name"])
            if focused["name"] == "say":
                break
        assert reached == [
            *("send", "people-list", "skip"),
            *("find", "room-list", "you"),
            *("topic", "leave", "search-open", "talk", "say"),
        ]


@pytest.mark.short
def test_one_can_chat_with_the_keyboard_alone(visit: Visit) -> None:
    ada = visit()
    ada.open("lobby")
    keys = ada.page.keyboard
    keys.type("ada")
    keys.press("Enter")
    ada.is_connected()
    expect(ada.get("#say")).to_be_focused()
    keys.type("hello")
    keys.press("Shift+Enter")
    keys.type("world")
    keys.press("Enter")
    ada.sees("hello\nworld")
    keys.press("Control+k")
    keys.type("attic")
    keys.press("Enter")
    expect(ada.get("#title")).to_have_text("#attic")
    expect(ada.get("#say")).to_be_focused()
    keys.press("Alt+ArrowUp")
    expect(ada.get("#title")).to_have_text("#lobby")
    keys.press("ArrowUp")
    expect(ada.get("#say")).to_have_value("hello\nworld")
    keys.press("Tab")
    keys.press("Enter")
    ada.sees("hello\nworld", "hello\nworld")
    expect(ada.get("#say")).to_be_focused()
    composed = "new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, cancelable: true, bubbles: true })"
    ada.write("雨")
    ada.get("#say").evaluate(f"box => box.dispatchEvent({composed})")
    expect(ada.get("#say")).to_have_value("雨")


@pytest.mark.short
def test_the_send_button_follows_the_text_without_a_frame_between(visit: Visit) -> None:
    ada = visit()
    ada.come("ada")
    ada.say("hello")
    ada.sees("hello")
    assert ada.page.evaluate(_SEND_STATES) == [True, False, True, False, True]
    ada.sees("hello", "hello")


@pytest.mark.short
def test_what_was_begun_is_finished_by_tab_and_never_by_surprise(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    keys, box, offers = ada.page.keyboard, ada.get("#say"), ada.get("#offers")
    with Terminal(server, "bob", "lobby"), Terminal(server, "bea", "lobby"):
        ada.names("ada", "bea", "bob")
        keys.type("hey @b")
        expect(offers.get_by_role("option")).to_have_text(["bea", "bob"])
        is_accessible(ada.page, "what is offered")
        keys.press("Enter")
        ada.sees("hey @b")
        expect(offers).to_be_hidden()
        keys.type("@b")
        keys.press("ArrowDown")
        keys.press("ArrowDown")
        expect(offers.get_by_role("option", selected=True)).to_have_text("bob")
        keys.press("Enter")
        expect(box).to_have_value("@bob ")
        keys.type("and @b")
        keys.press("Tab")
        expect(box).to_have_value("@bob and @bea ")
        expect(box).to_be_focused()
        box.fill("/")
        expect(offers.get_by_role("option").first).to_contain_text("/join ROOM")
        keys.press("Escape")
        expect(offers).to_be_hidden()
        keys.type("me")
        offers.get_by_role("option").click()
        expect(box).to_have_value("/me ")
        expect(box).to_be_focused()


@pytest.mark.short
def test_a_phone(visit: Visit, server: Server) -> None:
    ada = visit(**PHONE)
    ada.come("ada")
    with Terminal(server, "bob", "lobby") as bob:
        bob.say("long" * 200, "https://example.org/" + "long" * 100, "/topic " + "topic " * 40)
        expect(ada.get("#rows .text")).to_have_count(3)
        fits(ada)
        is_accessible(ada.page, "a phone")
        for drawer, button in (("rooms", "Rooms"), ("people", "Members")):
            expect(ada.get(f"#{drawer}")).not_to_be_in_viewport()
            ada.page.get_by_role("button", name=button).first.tap()
            expect(ada.get(f"#{drawer}")).to_be_in_viewport(ratio=1)
            is_accessible(ada.page, f"a phone that shows its {drawer}")
            fits(ada)
            ada.page.touchscreen.tap(*((385, 400) if drawer == "rooms" else (5, 400)))
            expect(ada.get(f"#{drawer}")).not_to_be_in_viewport()
        ada.page.get_by_role("button", name="Members").tap()
        ada.get("#people-list").get_by_text("bob").tap()
        expect(ada.get("#title")).to_have_text("@bob")
        expect(ada.get("#people")).not_to_be_in_viewport()
        ada.write("psst")
        ada.page.get_by_role("button", name="Send").tap()
        ada.sees("psst")
        expect(ada.get("#say")).to_be_focused()


def fits(ada: Visitor) -> None:
    """Nothing is wider than the screen."""
    for wide in ("document.documentElement", "document.querySelector('#talk')"):
        assert ada.page.evaluate(f"{wide}.scrollWidth") <= 390


@pytest.mark.short
def test_dark_as_the_system_is_or_as_one_likes(visit: Visit) -> None:
    ada = visit(color_scheme="dark")
    ada.come("ada")
    assert is_dark(ada)
    ada.get("#you").click()
    ada.page.get_by_label("Light", exact=True).check()
    assert not is_dark(ada)
    ada.page.reload()
    ada.is_connected()
    assert not is_dark(ada)
    ada.page.emulate_media(color_scheme="light")
    ada.get("#you").click()
    ada.page.get_by_label("Dark", exact=True).check()
    assert is_dark(ada)
    ada.page.get_by_label("As the system").check()
    assert not is_dark(ada)


def is_dark(ada: Visitor) -> bool:
    """By the ground that texts stand on."""
    ground = ada.get(":root").evaluate("root => getComputedStyle(root).backgroundColor")
    return sum(int(part) for part in ground.removeprefix("rgb(").rstrip(")").split(",")) < 3 * 128
