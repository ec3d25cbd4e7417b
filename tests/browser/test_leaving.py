"""To leave a place, to take that back, and rooms that the server lets nobody into."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.short

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
_AWAY_PX = 44
_STORED = """
() => Object.keys(localStorage)
    .filter(key => key.endsWith("/rooms"))
    .map(key => JSON.parse(localStorage[key]))
"""


_TYPE_AND_LEAVE = """
() => {
  const say = document.querySelector("#say");
  say.value = "half a thought";
  say.dispatchEvent(new Event("input"));
  document.querySelector("#leave").click();
}
"""
_DRAFTS = "() => Object.keys(localStorage).filter(key => key.includes('/draft.'))"


def _leave(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Leave this room").click()


def test_leaving_asks_nothing_and_can_be_taken_back(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada", "kitchen")
    with Terminal(server, "bob", "kitchen") as bob:
        ada.say("/join garden", "/join lobby")
        ada.places("kitchen", "garden", "lobby")
        ada.say("/join kitchen")
        bob.say("the soup is on")
        ada.sees("the soup is on")
        ada.write("half a thought")
        _leave(ada)
        ada.places("garden", "lobby")
        expect(ada.get("#left")).to_have_text("You left #kitchen. Undo", use_inner_text=True)
        expect(ada.get("#title")).not_to_have_text("#kitchen")
        bob.say("it boils over", "are you gone?")
        bob.hear("are you gone?")
        ada.page.get_by_role("button", name="Undo").click()
        expect(ada.get("#title")).to_have_text("#kitchen")
        expect(ada.get("#left")).to_be_hidden()
        ada.places("kitchen", "garden", "lobby")
        ada.sees("the soup is on", "it boils over", "are you gone?")
        expect(ada.get("#say")).to_have_value("half a thought")
        expect(ada.get("#rows .new + li")).to_contain_text("it boils over")
        ada.names("ada", "bob")


def test_a_draft_that_was_just_typed_is_gone_with_its_room_and_comes_back_with_it(visit: Visit) -> None:
    ada = visit()
    ada.come("ada", "kitchen")
    ada.say("/join lobby")
    expect(ada.get("#title")).to_have_text("#lobby")
    ada.page.evaluate(_TYPE_AND_LEAVE)
    expect(ada.get("#title")).to_have_text("#kitchen")
    assert ada.page.evaluate(_DRAFTS) == []
    ada.page.get_by_role("button", name="Undo").click()
    expect(ada.get("#say")).to_have_value("half a thought")


def test_the_offer_to_take_it_back_lasts_for_eight_seconds(visit: Visit) -> None:
    ada = visit()
    ada.page.clock.install()
    ada.come("ada", "kitchen")
    ada.say("/join lobby")
    expect(ada.get("#title")).to_have_text("#lobby")
    ada.page.clock.pause_at(ada.page.evaluate("Date.now()") / 1000 + 1)
    ada.say("/leave")
    ada.page.clock.run_for(7_500)
    expect(ada.get("#left")).to_contain_text("You left #lobby.")
    ada.page.clock.run_for(600)
    expect(ada.get("#left")).to_be_hidden()
    ada.places("kitchen")


def test_whispers_that_were_closed_are_there_again(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    with Terminal(server, "bob", "lobby") as bob:
        bob.say("/msg ada psst")
        ada.get("#thread-list").get_by_text("bob").click()
        ada.sees("psst")
        ada.page.get_by_role("button", name="Close these whispers").click()
        expect(ada.get("#left")).to_contain_text("You closed the whispers with bob.")
        bob.say("/msg ada are you there?")
        expect(ada.get("#thread-list .name")).to_have_text("bob")
        ada.page.get_by_role("button", name="Undo").click()
        expect(ada.get("#title")).to_have_text("@bob")
        ada.sees("psst", "are you there?")


def test_leaving_two_rooms_takes_back_the_last(visit: Visit) -> None:
    ada = visit()
    ada.come("ada")
    ada.say("/join kitchen", "/join garden")
    expect(ada.get("#title")).to_have_text("#garden")
    _leave(ada)
    expect(ada.get("#title")).to_have_text("#kitchen")
    _leave(ada)
    expect(ada.get("#left")).to_contain_text("You left #kitchen.")
    ada.page.get_by_role("button", name="Undo").click()
    ada.places("lobby", "kitchen")


def test_leave_is_away_from_who_is_here(visit: Visit) -> None:
    ada = visit(**PHONE)
    ada.come("ada")
    for hidden in (False, True):
        ada.page.evaluate("hidden => { document.querySelector('#search-open').hidden = hidden }", hidden)
        leave, people = (ada.get(each).bounding_box() for each in ("#leave", "#people-open"))
        assert leave and people
        gap = max(people["x"] - leave["x"] - leave["width"], leave["x"] - people["x"] - people["width"])
        assert gap >= _AWAY_PX


@pytest.mark.parametrize("name", ["a b", "*star", "x" * 65, "x" * 300, "☃"])
def test_a_refused_name_does_not_stay_as_a_room(visit: Visit, name: str) -> None:
    ada = visit()
    ada.come("ada", "kitchen")
    ada.open(name)
    expect(ada.get("#note")).to_contain_text("Cannot join #")
    expect(ada.get("#title")).to_have_text("#kitchen")
    ada.places("kitchen")
    assert ada.page.evaluate(_STORED) == [["kitchen"]]
    ada.page.reload()
    ada.is_connected()
    ada.places("kitchen")


def test_a_refused_name_that_is_the_only_one_is_shown_with_its_reason(visit: Visit) -> None:
    ada = visit()
    ada.come("ada", "*star")
    expect(ada.get("#empty")).to_contain_text("You are not in this room")
    expect(ada.get("#say")).to_be_disabled()
    ada.open("kitchen")
    ada.places("kitchen")
    assert ada.page.evaluate(_STORED) == [["kitchen"]]


def test_one_room_too_many_does_not_stay(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    for n in range(1, 100):
        ada.page.evaluate("room => { location.hash = room }", f"room-{n:02}")
    expect(ada.get("#title")).to_have_text("#room-99")
    expect(ada.get("#people-total")).to_have_text("1")
    ada.open("one-more")
    expect(ada.get("#note")).to_contain_text("Cannot join #one-more:")
    expect(ada.get("#title")).to_have_text("#room-99")
    expect(ada.get("#room-list .name")).to_have_count(100)
