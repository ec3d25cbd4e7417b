"""What stands where: an empty room, long topics, many members, targets for fingers, right-to-left text."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal, crowd
from tests.browser.test_access import PHONE, fits, is_accessible
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.short

TARGET = 44
TOPIC = (
    "What this room is about, in many more words than a phone has room for, and a link: https://example.org/"
)
# Links within a text are as high as its lines, and a label is a target with the box in it.
_SMALL = """
(least) => [...document.querySelectorAll("button, a, input, textarea, [role=option], label:has(input)")]
  .filter(node => !node.closest(".text, .topic") || node.matches("button"))
  .filter(node => !node.matches(".skip, label input"))
  .map(node => [node, node.getBoundingClientRect()])
  .filter(([node, box]) => box.width && node.checkVisibility({ visibilityProperty: true }))
  .filter(([, box]) => box.width < least || box.height < least)
  .map(([node, box]) => `${node.id || node.className || node.localName} ${box.width} x ${box.height}`)
"""
_SIDES = """
(block) => {
  const range = document.createRange();
  range.selectNodeContents(block);
  const box = block.getBoundingClientRect();
  const lines = [...range.getClientRects()].filter(line => line.width > 1);
  return lines.map(line => line.left - box.left > box.right - line.right ? "right" : "left");
}
"""


def test_an_empty_room_on_this_computer_says_how_others_can_join(visit: Visit, server: Server) -> None:
    ada = visit(permissions=["clipboard-read"])
    ada.come("ada", "tea")
    expect(ada.get("#invite")).to_contain_text("works on this computer only")
    expect(ada.get("#invite-command")).to_have_text(f"trio-chat serve --host 0.0.0.0 --port {server.port}")
    is_accessible(ada.page, "an empty room")
    ada.page.get_by_role("button", name="Copy link").click()
    expect(ada.get("#copy-state")).to_have_text("Copied")
    assert ada.page.evaluate("navigator.clipboard.readText()") == f"{server.address}/#tea"
    with Terminal(server, "bob", "tea") as bob:
        expect(ada.get("#invite")).to_be_hidden()
        expect(ada.get("#empty-text")).to_have_text("Nothing has been said here yet. You could be the first.")
        bob.say("hello")
        expect(ada.get("#empty")).to_be_hidden()


def test_a_page_that_may_not_copy_selects_the_address(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.page.add_init_script(
        "delete Navigator.prototype.clipboard; document.execCommand = () => false;"  # as over plain http
    )
    ada.come("ada", "tea")
    ada.page.get_by_role("button", name="Copy link").click()
    expect(ada.get("#copy-state")).to_contain_text("copy it with Ctrl C")
    assert ada.page.evaluate("getSelection().toString()") == f"{server.address}/#tea"


def test_a_long_topic_is_clamped_on_a_phone_and_a_tap_shows_all(visit: Visit, server: Server) -> None:
    ada = visit(**PHONE)
    ada.come("ada")
    ada.say(f"/topic {TOPIC}")
    topic = ada.get("#topic")
    expect(topic).to_have_text(TOPIC)
    assert topic.evaluate("node => node.getBoundingClientRect().height") <= 2 * TARGET
    fits(ada)
    topic.tap()
    expect(ada.get("#topic-whole")).to_have_text(TOPIC)
    expect(ada.get("#topic-whole").get_by_role("link")).to_have_attribute("href", "https://example.org/")
    is_accessible(ada.page, "a whole topic")
    ada.page.get_by_role("button", name="Change").tap()
    ada.get("#ask-text").fill("short")
    ada.page.get_by_role("button", name="Save").tap()
    expect(topic).to_have_text("short")
    topic.tap()
    expect(ada.get("#ask")).to_be_visible()
    expect(ada.get("#topic-sheet")).to_be_hidden()


def test_a_list_of_many_members_has_a_filter(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada", "square")
    field, names = ada.get("#people-filter"), ada.get("#people-list .name")
    expect(field).to_be_hidden()
    with crowd(server, "square", [f"m{n:04}" for n in range(1, 1_200)]):
        expect(ada.get("#people-total")).to_have_text("1,200")
        expect(ada.get("#people-list > li")).to_have_count(1_000)
        field.fill("M007")
        expect(names).to_have_text([f"m{n:04}" for n in range(70, 80)])
        expect(ada.get("#people-found")).to_have_text("10 found")
        is_accessible(ada.page, "a filtered list")
        field.fill("m1199")  # of the second page, which is fetched for it
        expect(names).to_have_text(["m1199"])
        field.fill("m")
        expect(ada.get("#people-list > li")).to_have_count(200)
        expect(ada.get("#people-found")).to_contain_text("200 of 1,199 shown")
        field.fill("nobody")
        expect(ada.get("#people-found")).to_have_text("No member’s name has that in it.")
        field.press("Escape")
        expect(field).to_have_value("")
        expect(names.first).to_have_text("ada")
        assert ada.page.evaluate("document.querySelectorAll('*').length") < 6_000
        field.press("ArrowDown")
        expect(ada.get("#people-list button").nth(1)).to_be_focused()
        ada.say("/join lobby")
        expect(field).to_be_hidden()
    ada.names("ada")


def test_a_finger_finds_every_target(visit: Visit, server: Server) -> None:
    ada = visit(**PHONE)
    ada.open("lobby")
    ada.page.get_by_label("Your name").fill("Ada Lovelace")
    assert small(ada) == []
    ada.call_me("ada")
    ada.is_connected()
    expect(ada.get("#invite")).to_be_visible()
    assert small(ada) == []
    with Terminal(server, "bob", "lobby") as bob:
        bob.say("hello ada", "/topic lunch", "/msg ada psst")
        expect(ada.get("#rows .retitled")).to_be_visible()
        ada.write("@b")
        expect(ada.get("#offers")).to_be_visible()
        assert small(ada) == []
        ada.write("")
        for button in ("Rooms", "Members"):
            ada.page.get_by_role("button", name=button).first.tap()
            assert small(ada) == []
            ada.page.keyboard.press("Escape")
            expect(ada.get("#backdrop")).to_be_hidden()
        for how, dialog in (
            ("#search-open", "search"),
            ("#topic", "ask"),
            ("/help", "help"),
            ("/rooms", "switcher"),
        ):
            ada.get(how).tap() if how.startswith("#") else ada.say(how)
            expect(ada.get(f"#{dialog}")).to_be_visible()
            assert small(ada) == []
            ada.page.keyboard.press("Escape")
            expect(ada.get(f"#{dialog}")).to_be_hidden()
        ada.get("#rooms-open").tap()
        ada.get("#you").tap()
        expect(ada.get("#settings")).to_be_visible()
        assert small(ada) == []


def small(ada: Visitor) -> list[str]:
    """The targets in sight that are smaller than a finger needs."""
    found: list[str] = ada.page.evaluate(_SMALL, TARGET)
    return found


@pytest.mark.parametrize("shape", [{}, PHONE], ids=["wide", "phone"])
def test_each_paragraph_begins_on_its_own_side(visit: Visit, shape: dict[str, Any]) -> None:
    ada = visit(**shape)
    ada.come("ada")
    ada.say("שלום עולם", "hello")
    ada.write("hello\nשלום\nhello")
    ada.get("#say").press("Enter")
    texts = ada.get("#rows .line .text")
    expect(texts).to_have_count(3)
    expect(ada.get("#rows .fate")).to_have_count(0)
    expect(texts.first).to_have_attribute("dir", "auto")
    assert [sides(texts.nth(n)) for n in range(3)] == [
        ["right"],
        ["left"],
        ["left", "right", "left"],
    ]
    ada.write("שלום")
    assert ada.get("#say").evaluate("box => getComputedStyle(box).direction") == "rtl"


def sides(block: Locator) -> list[str]:
    """The side on which each line of a block begins."""
    found: list[str] = block.evaluate(_SIDES)
    return found
