"""Long rooms, many people, several rooms at once: what is read, and how one gets there."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal, crowd
from tests.browser.visitor import Visitor

MANY = 2_000
ROWS_MAX = 450  # 400 entries in the window, and the days, lines and beginnings between them
BEGAN = 1_790_000_000_000  # 2026-09-21
MINUTE = 60_000
_TOPS = """
() => [...document.querySelectorAll("#rows [data-seq]")].map(
  node => [node.dataset.seq, node.getBoundingClientRect().top])
"""
# Scrolled and looked at in one step: the page hears of it at the next frame, and may have more by then.
_TO_THE_TOP = f"""
() => {{
  document.querySelector("#talk").scrollTop = 0;
  return ({_TOPS})();
}}
"""
_TO_THE_BOTTOM = """
() => {
  const talk = document.querySelector("#talk");
  talk.scrollTop = talk.scrollHeight;
  return Number([...document.querySelectorAll("#rows [data-seq]")].at(-1).dataset.seq);
}
"""


_FRAMES = """
async (frames) => {
  for (; frames; frames--) await new Promise(requestAnimationFrame);
}
"""


def long_room(people: int = 7) -> list[dict[str, object]]:
    """A room of many messages, spread over a week; by one person, a few hours of a soliloquy."""
    said: list[dict[str, object]] = [
        {
            "type": "said",
            "room": "lobby",
            "seq": n,
            "at": BEGAN + n * (5 * MINUTE if people > 1 else 10_000),
            "by": f"person{n % people}",
            "text": f"message {n}" + ", with a second line\nthat makes it higher" * (n % 3 == 0),
        }
        for n in range(1, MANY + 1)
    ]
    room = {"type": "room", "room": "lobby", "epoch": "abcdefghijkl", "first": 1, "head": MANY, "topic": ""}
    return [room, *said]


@pytest.fixture
def long(server: Server) -> Server:
    """The server of this test has a long room; asked for before `visit`."""
    server.take(long_room())
    return server


@pytest.fixture
def soliloquy(server: Server) -> Server:
    """The same, of one person."""
    server.take(long_room(people=1))
    return server


def one_page_up(ada: Visitor) -> float:
    """Scroll to the top of what is there, wait for more; returns by how much a row has moved meanwhile."""
    tops = ada.page.evaluate(_TO_THE_TOP)
    first, before = int(tops[0][0]), dict(tops)
    ada.page.wait_for_function(
        "first => Number(document.querySelector('#rows [data-seq]').dataset.seq) < first", arg=first
    )
    after = dict(ada.page.evaluate(_TOPS))
    return abs(float(after[str(first)]) - float(before[str(first)]))


def test_history_comes_as_one_scrolls_up_and_the_view_holds_still(long: Server, visit: Visit) -> None:
    ada = visit()
    ada.come("ada")
    expect(ada.get("#rows .text").last).to_have_text(f"message {MANY}")
    for _ in range(5):
        assert one_page_up(ada) < 2
        assert ada.get("#rows > li").count() <= ROWS_MAX
    ada.get("#to-end").click()
    expect(ada.get(f"#rows [data-seq='{MANY}']")).to_be_in_viewport()


def test_at_the_very_top_a_page_comes_and_the_view_holds_still(soliloquy: Server, visit: Visit) -> None:
    """Also where the first row is drawn anew, as its author now stands above the rows before it."""
    ada = visit()
    ada.come("ada")
    expect(ada.get("#rows .text").last).to_have_text(f"message {MANY}")
    first = ada.numbers()[0]
    ada.page.evaluate(_TO_THE_TOP)
    ada.page.wait_for_function(
        "first => Number(document.querySelector('#rows [data-seq]').dataset.seq) < first", arg=first
    )
    ada.page.evaluate(_FRAMES, 60)
    assert ada.numbers()[0] == first - 100, "it ran on by itself"
    expect(ada.get(f"#rows [data-seq='{first}']")).to_be_in_viewport()


def test_a_long_room_never_fills_the_document(long: Server, visit: Visit) -> None:
    ada = visit()
    ada.come("ada")
    expect(ada.get("#rows .text").last).to_have_text(f"message {MANY}")
    most = 0
    for _ in range(4 * MANY):
        if ada.get("#rows .start").count():
            break
        one_page_up(ada)
        most = max(most, ada.get("#rows > li").count())
    assert ada.numbers()[0] == 1
    assert most <= ROWS_MAX
    while ada.numbers()[-1] < MANY:
        last = ada.page.evaluate(_TO_THE_BOTTOM)
        if last == MANY:
            break
        ada.page.wait_for_function(
            "last => Number([...document.querySelectorAll('#rows [data-seq]')].at(-1).dataset.seq) > last",
            arg=last,
        )
        most = max(most, ada.get("#rows > li").count())
    assert most <= ROWS_MAX
    numbers = ada.numbers()
    assert list(numbers) == list(range(numbers[0], MANY + 1))


def test_a_thousand_members_are_counted_and_listed(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada", "square")
    with crowd(server, "square", [f"m{n:04}" for n in range(1, 1_000)]):
        expect(ada.get("#people-total")).to_have_text("1,000")
        expect(ada.get("#people-list > li")).to_have_count(1_000)
        expect(ada.get("#people-list .name").first).to_have_text("ada")
        assert ada.page.evaluate("document.querySelectorAll('*').length") < 6_000
        ada.say("hello, all of you")
        ada.sees("hello, all of you")
    ada.names("ada")


@pytest.mark.short
def test_what_is_unread_is_counted_and_ctrl_k_leads_there(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada", "kitchen")
    with Terminal(server, "bob", "kitchen", "lobby") as bob:
        bob.say("/join kitchen", "the soup is on")
        ada.sees("the soup is on")
        ada.say("/join lobby")
        expect(ada.get("#title")).to_have_text("#lobby")
        bob.say("it boils", "it boils over", "ada! the soup!")
        kitchen = ada.get("#room-list li").filter(has_text="kitchen")
        expect(kitchen.locator(".count")).to_have_text(["@1, 1 mentions you", "2, 2 more unread"])
        expect(ada.page).to_have_title(re.compile(r"^\(@\) #lobby"))
        ada.page.keyboard.press("Control+k")
        ada.page.get_by_role("combobox").fill("kitch")
        expect(ada.page.get_by_role("option", selected=True)).to_contain_text("kitchen")
        ada.page.keyboard.press("Enter")
        expect(ada.get("#title")).to_have_text("#kitchen")
        expect(ada.get("#rows .new")).to_be_visible()
        rows = ada.get("#rows > li").evaluate_all("rows => rows.map(row => row.dataset.seq ?? row.className)")
        assert rows[rows.index("new") :] == ["new", "2", "3", "4"]
        expect(ada.get("#rows mark")).to_have_text("ada")
        expect(kitchen).not_to_contain_text("unread")


@pytest.mark.short
def test_a_find_leads_to_its_place(long: Server, visit: Visit) -> None:
    ada = visit()
    ada.come("ada")
    ada.page.keyboard.press("Control+Shift+F")
    ada.page.get_by_label("Text to look for").fill("message 777")
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("button").filter(has_text="message 777").click()
    found = ada.get("#rows [data-seq='777']")
    expect(found).to_be_in_viewport()
    assert ada.get("#rows > li").count() <= ROWS_MAX
    expect(ada.get("#search")).to_be_hidden()
    ada.page.keyboard.press("Escape")
    expect(ada.get(f"#rows [data-seq='{MANY}']")).to_be_in_viewport()
