"""Messages that are made to be slow to scan or to draw: a room full of them opens and can be used."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal

pytestmark = pytest.mark.short

TEXT_BYTES = 4_096
MESSAGES = 60  # as many as are fetched on entering a room
NODES_MAX = 120  # elements of one row: fifty marked segments of at most two each, and those around the text


def _filled(unit: str, start: str = "") -> str:
    """Return as much of it as one message may have, with room for a number."""
    return (start + unit * TEXT_BYTES).encode()[: TEXT_BYTES - 8].decode(errors="ignore")


TEXTS = {
    "brackets": _filled(")", "http://a"),
    "links": _filled("http://a "),
    "refused addresses": _filled("http://[ "),
    "unlike letters": "http://" + "".join(chr(0x4E00 + n * 7_919 % 20_000) for n in range(1_350)),
    "combining marks": _filled("\u0315\u0300\u05ae", "http://a"),
    "backticks": _filled("`a"),
    "code": _filled("`a` "),
    "turns": _filled("\u202e"),
    "turned letters": _filled("\u202ea"),
    "mentions": _filled("@ada "),
    "repetition": _filled("a"),
    "spaces": _filled(" ", "x") + "x",
}


def test_a_room_of_heavy_messages_opens_and_takes_a_key(visit: Visit, server: Server) -> None:
    ada = visit()
    with Terminal(server, "mallory", "lobby") as mallory:
        kinds = list(TEXTS.values())
        texts = [f"{n:02} {kinds[n % len(kinds)]}" for n in range(MESSAGES)]
        mallory.say(*texts)
        mallory.hear(texts[-1])
        ada.come("ada")
        expect(ada.get("#rows [data-seq]")).to_have_count(MESSAGES)
        counts = ada.get("#rows [data-seq]").evaluate_all(
            "rows => rows.map(row => row.querySelectorAll('*').length)"
        )
        assert 50 < max(counts) < NODES_MAX, counts
        assert ada.talk[0] == texts[0]
        ada.get("#say").press("h")
        expect(ada.get("#say")).to_have_value("h")
        mallory.say(*texts[:12], "and now?")  # while the page is open
        expect(ada.get("#rows .text").last).to_have_text("and now?")
        ada.say("I am still here")
        expect(ada.get("#rows .text").last).to_have_text("I am still here")
        mallory.hear("I am still here")


def test_a_long_word_of_one_letter_is_found_and_marked(visit: Visit, server: Server) -> None:
    ada = visit()
    with Terminal(server, "mallory", "lobby") as mallory:
        mallory.say(*(f"{n} {TEXTS['repetition']}" for n in range(5)))
        ada.come("ada")
        expect(ada.get("#rows [data-seq]")).to_have_count(5)
        ada.say("/search " + "a" * 2_000)
        expect(ada.get("#search-list .found-text mark")).to_have_text(["a" * 2_000] * 5)


def test_a_draft_of_white_space_takes_a_key(visit: Visit) -> None:
    """The length of a paste has no bound, and each key searches it for the beginning of a name."""
    ada = visit()
    ada.come("ada")
    ada.write(" " * 100_000)
    ada.get("#say").press("h")
    expect(ada.get("#note")).to_contain_text("Too long by 95,905 bytes")
    ada.write("x" + " " * 4_000 + "\n" * 9)
    ada.get("#say").press("Enter")
    expect(ada.get("#rows .text")).to_have_text(["x"])
