"""Arrivals, departures and new names in the talk, and whose head a line stands under."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.short

HEADS = "#rows .line.head .by"
CHANGES = "#rows .presence"


def settle(ada: Visitor) -> None:
    """Change the setting that shows or hides the changes."""
    ada.get("#you").click()
    ada.page.get_by_label("Show arrivals, departures and new names").click()
    ada.page.get_by_role("button", name="Done").click()


def test_arrivals_and_departures_are_gathered_and_count_as_nothing(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    ada.say("hello")
    ada.sees("hello")
    with Terminal(server, "bob", "lobby"), Terminal(server, "carl", "lobby"):
        expect(ada.get(CHANGES)).to_have_text(["bob and carl came in"])
    expect(ada.get(CHANGES)).to_have_text(["bob and carl came in and left"])
    assert ada.numbers() == [1]
    expect(ada.get("#room-list .count")).to_have_count(0)
    expect(ada.page).to_have_title(re.compile("^#lobby"))
    ada.say("again")
    ada.sees("hello", "again")
    with Terminal(server, "dora", "lobby"):
        expect(ada.get(CHANGES)).to_have_text(["bob and carl came in and left", "dora came in"])
        kinds = ada.get("#rows > li").evaluate_all("rows => rows.map(row => row.className.trim())")
        assert kinds == ["start", "day", "line head own", "presence", "line head own", "presence"]


def test_changes_are_hidden_by_a_setting_that_is_kept(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    with Terminal(server, "bob", "lobby"):
        expect(ada.get(CHANGES)).to_have_count(1)
        settle(ada)
        expect(ada.get(CHANGES)).to_have_count(0)
    ada.page.reload()
    ada.is_connected()
    with Terminal(server, "bob", "lobby"):
        ada.names("ada", "bob")
        expect(ada.get(CHANGES)).to_have_count(0)
        settle(ada)
        expect(ada.get(CHANGES)).to_have_text(["bob came in"])


@pytest.mark.parametrize("shown", [True, False], ids=["shown", "hidden"])
def test_a_new_name_never_speaks_under_the_head_of_its_last_holder(
    visit: Visit, server: Server, shown: bool
) -> None:
    ada = visit()
    ada.come("ada")
    if not shown:
        settle(ada)
    with Terminal(server, "carl", "lobby") as carl:
        with Terminal(server, "bob", "lobby") as bob:
            bob.say("I am bob")
            carl.hear("I am bob")
        ada.names("ada", "carl")
        carl.say("/nick bob", "I was carl")
        ada.sees("I am bob", "I was carl")
        ada.names("ada", "bob")
        expect(ada.get(HEADS)).to_have_text(["bob", "bob"])
        expect(ada.get(CHANGES)).to_have_text(
            ["carl and bob came in", "bob left · carl is now bob"] if shown else []
        )
