"""The card that asks for a name."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server
from tests.browser.test_access import PHONE, is_accessible
from tests.browser.visitor import BACK_MS

pytestmark = pytest.mark.short


def test_a_usable_name_is_offered_and_one_tap_joins_with_it(visit: Visit) -> None:
    ada = visit(**PHONE)
    ada.open("lobby")
    offer = ada.get("#welcome-offer")
    expect(offer).to_be_hidden()
    ada.page.get_by_label("Your name").fill("Ada Lovelace")
    expect(offer).to_have_text("Use Ada-Lovelace")
    is_accessible(ada.page, "the card with an offer")
    offer.tap()
    ada.is_connected()
    expect(ada.get("#you-name")).to_have_text("Ada-Lovelace")


def test_a_refused_name_keeps_its_offer_and_a_usable_one_has_none(visit: Visit) -> None:
    ada = visit()
    ada.open("lobby")
    ada.call_me("Ada Lovelace")
    expect(ada.get("#welcome-error")).not_to_be_empty()
    expect(ada.get("#welcome-offer")).to_have_text("Use Ada-Lovelace")
    ada.page.get_by_label("Your name").fill("Ada")
    expect(ada.get("#welcome-offer")).to_be_hidden()
    ada.call_me("Ada")
    ada.is_connected()
    ada.get("#you").click()
    ada.get("#rename").click()
    ada.get("#ask-text").fill("Ada Byron")
    expect(ada.get("#ask-offer")).to_have_text("Use Ada-Byron")
    ada.get("#ask-offer").click()
    expect(ada.get("#you-name")).to_have_text("Ada-Byron")
    expect(ada.get("#ask")).to_be_hidden()
    ada.say("/nick Ada King")
    expect(ada.get("#note")).to_contain_text("Try /nick Ada-King")


def test_a_dead_server_is_said_on_the_card_which_goes_when_it_is_back(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.watch.forgive("WebSocket connection to")
    ada.open("lobby")
    expect(ada.page.get_by_label("Your name")).to_be_focused()
    server.kill()
    ada.call_me("ada")
    expect(ada.page.get_by_role("alert")).to_have_text(
        f"Cannot reach the server at 127.0.0.1:{server.port}. Trying again…"
    )
    expect(ada.get("#card")).to_be_visible()
    expect(ada.get("#app")).to_be_hidden()
    is_accessible(ada.page, "the card without a server")
    server.start()
    expect(ada.get("#card")).to_be_hidden(timeout=BACK_MS)
    ada.is_connected()
    ada.names("ada")


def test_a_silent_server_is_said_on_the_card(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.open("lobby")
    server.pause()
    ada.call_me("ada")
    expect(ada.page.get_by_role("alert")).to_contain_text("No answer from the server")
    expect(ada.get("#app")).to_be_hidden()
    server.resume()
    ada.is_connected()
    expect(ada.get("#card")).to_be_hidden()
