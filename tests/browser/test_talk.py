"""People at two browsers and one at a terminal, in one room."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal

pytestmark = pytest.mark.short


def test_two_pages_and_a_terminal_chat(visit: Visit, server: Server) -> None:
    ada, bob = visit(), visit()
    ada.come("ada")
    ada.names("ada")
    bob.come("bob")
    with Terminal(server, "carol", "lobby") as carol:
        ada.names("ada", "bob", "carol")
        bob.names("bob", "ada", "carol")
        ada.say("is anybody here?")
        bob.sees("is anybody here?")
        bob.say("just me", "/me waves")
        carol.hear("is anybody here?", "just me", "waves")
        carol.say("and me")
        said = ["is anybody here?", "just me", "bob waves", "and me"]
        ada.sees(*said)
        bob.sees(*said)
        assert carol.hear("and me") == ["is anybody here?", "just me", "waves", "and me"]
    ada.names("ada", "bob")
    bob.page.close()
    ada.names("ada")


def test_a_line_is_being_sent_until_the_server_has_it(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    server.pause()
    ada.say("one", "two")
    expect(ada.get("#rows .fate")).to_have_text(["Sending…", "Sending…"])
    server.resume()
    ada.sees("one", "two")
    assert ada.numbers() == [1, 2]


def test_whispers_topics_and_new_names(visit: Visit, server: Server) -> None:
    ada, bob = visit(), visit()
    ada.come("ada")
    bob.come("bob")
    bob.say("/topic lunch at one")
    expect(ada.get("#topic")).to_have_text("lunch at one")
    ada.get("#people-list").get_by_text("bob").click()
    ada.say("do you know the place?")
    ada.sees("do you know the place?")
    bob.get("#thread-list").get_by_text("ada").click()
    bob.sees("do you know the place?")
    bob.say("/nick robert")
    expect(bob.get("#you-name")).to_have_text("robert")
    ada.say("/join lobby")
    ada.names("ada", "robert")
    ada.sees("bob changed the topic to lunch at one")


def test_a_name_that_is_taken_asks_for_another(visit: Visit) -> None:
    ada, other = visit(), visit()
    ada.come("Ada")
    other.open("lobby")
    other.call_me("ada")
    expect(other.page.get_by_role("alert")).to_contain_text("ada")
    expect(other.page.get_by_label("Your name")).to_be_focused()
    other.call_me("grace")
    other.is_connected()
    other.names("grace", "Ada")
    expect(other.get("#card")).to_be_hidden()


def test_two_tabs_of_one_person_are_one_member(visit: Visit) -> None:
    first, bob = visit(), visit()
    first.come("ada")
    bob.come("bob")
    second = first.another_tab()
    expect(second.get("#you-name")).to_have_text("ada")
    for page in (first, second):
        page.names("ada", "bob")
    bob.names("bob", "ada")
    first.say("from the first")
    second.sees("from the first")
    second.say("from the second")
    for page in (first, second, bob):
        page.sees("from the first", "from the second")
    second.page.close()
    bob.say("are you still there?")
    first.sees("from the first", "from the second", "are you still there?")
    bob.names("bob", "ada")
