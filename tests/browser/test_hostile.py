"""Whoever means harm writes it into names, rooms, topics, messages, addresses: all of it is only text."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.short

MALLORY = "<img/src=x/onerror=alert(1)>"
ROOM = '"><svg/onload=alert(2)>'
TEXTS = (
    "<script>alert(3)</script>",
    "<img src=x onerror=alert(4)>",
    '<a href="javascript:alert(5)">look</a>',
    "javascript:alert(6)",
    "data:text/html,<script>alert(7)</script>",
    '"><svg onload=alert(8)>',
    "' onmouseover=alert(9) x='",
    'https://example.org/"onmouseover="alert(10)',
    "https://example.org/'onmouseover='alert(11)",
    "https://example.org/<script>alert(12)</script>",
    "HTTP://javascript:alert(13)@example.org/",
    "</textarea><style>*{display:none}</style>",
    "&lt;b&gt;bold&lt;/b&gt; &amp; {{7*7}} ${7*7}",
    "<iframe srcdoc='<script>alert(14)</script>'></iframe>",
)
# What the page itself makes of what others wrote, and with which attributes.
MADE = {"a", "bdi", "button", "code", "div", "li", "mark", "p", "pre", "q", "small", "span", "strong", "time"}
ATTRIBUTES = {
    *("class", "title", "datetime", "tabindex", "role", "disabled", "hidden"),
    *("href", "target", "rel", "id", "type", "dir"),
}
_LOOK = """
roots => roots.flatMap(root => [...root.querySelectorAll("*")]).map(node =>
  [node.localName, Object.fromEntries([...node.attributes].map(({name, value}) => [name, value]))])
"""
TURNED = "safe \u202etxt.exe\u202c and \u2066isolated\u2069"


def is_only_text(visitor: Visitor) -> None:
    """Nothing in the places for what others wrote has been made but what we make."""
    nodes = visitor.get(
        "#rows, #people-list, #room-list, #thread-list, #title, #topic, #search-list"
    ).evaluate_all(_LOOK)
    for tag, attributes in nodes:
        assert tag in MADE, f"<{tag}> was made"
        odd = {
            name for name in attributes if name not in ATTRIBUTES and not name.startswith(("aria-", "data-"))
        }
        assert not odd, f"<{tag}> was given {odd}"
        address = attributes.get("href", "#")
        assert address.startswith("#") or urlsplit(address).scheme in ("http", "https"), address


def test_what_is_said_is_only_text(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    with Terminal(server, MALLORY, "lobby") as mallory:
        mallory.say(*TEXTS, f"/topic {TEXTS[1]}", "/me <b>waves</b>")
        ada.sees(
            *TEXTS,
            f"{MALLORY} changed the topic to {TEXTS[1]}",
            f"{MALLORY} <b>waves</b>",
        )
        expect(ada.get("#topic")).to_have_text(TEXTS[1])
        ada.names("ada", MALLORY)
        mallory.say(f"/msg ada {TEXTS[0]}")
        expect(ada.get("#thread-list .name")).to_have_text(MALLORY)
        is_only_text(ada)
        ada.say(f"/search {TEXTS[1]}")
        expect(ada.get("#search-list .found-text").first).to_have_text(TEXTS[1])
        is_only_text(ada)
        ada.page.keyboard.press("Escape")
        ada.get("#thread-list a").click()
        ada.sees(TEXTS[0])
        expect(ada.get("#title")).to_have_text(f"@{MALLORY}")
        is_only_text(ada)
    # What would act only when touched.
    for node in ada.get("#rows .text, #thread-list a, #title").all():
        node.hover()


def test_code_is_only_text(visit: Visit) -> None:
    ada, mallory = visit(), visit()
    ada.come("ada")
    mallory.come("mallory")
    mallory.say(f"`{TEXTS[0]}`", f"look:\n```html\n{TEXTS[1]}\n  @ada {TURNED}\n```\nsee?")
    shown = TURNED.replace("\u202e", "U+202E").replace("\u202c", "U+202C")
    shown = shown.replace("\u2066", "U+2066").replace("\u2069", "U+2069")
    expect(ada.get("#rows .text code")).to_have_text([TEXTS[0], f"{TEXTS[1]}\n  @ada {shown}"])
    expect(ada.get("#rows .text").last).to_contain_text("look:")
    expect(ada.get("#rows .called")).to_have_count(0)
    is_only_text(ada)


def test_a_link_leads_out_with_nothing_of_us(visit: Visit) -> None:
    ada = visit()
    ada.come("ada")
    ada.say(
        "see https://example.org/a_(b). and http://[::1]/, not ftp://example.org or javascript://example.org/%0Aa"
    )
    links = ada.get("#rows .text a")
    expect(links).to_have_text(["https://example.org/a_(b)", "http://[::1]/"])
    for link in links.all():
        assert link.get_attribute("target") == "_blank"
        assert {"noopener", "noreferrer"} <= set((link.get_attribute("rel") or "").split())


@pytest.mark.parametrize(
    "room",
    [
        ROOM,
        "<img src=x onerror=alert(15)>",
        "javascript:alert(16)",
        "%3Cscript%3E",
        "@<svg/onload=alert(17)>",
        "%",
    ],
)
def test_an_address_is_only_text(visit: Visit, room: str) -> None:
    ada = visit()
    ada.come("ada", room)
    expect(ada.get("#title")).to_have_text(room if room.startswith("@") else f"#{room}")
    is_only_text(ada)
    ada.page.reload()
    ada.is_connected()
    is_only_text(ada)


# Under the prefix of the server, and, as if an older page had kept it, under that of the origin.
_KEEP = """
([isOlder, kept]) => {
  const me = Object.keys(localStorage).find((key) => key.endsWith("/me"));
  const prefix = isOlder ? "trio-chat." : me.slice(0, -2);
  if (isOlder) {
    const mine = localStorage.getItem(me);
    localStorage.clear();
    localStorage.setItem("trio-chat.me", mine);
  }
  for (const key in kept) localStorage.setItem(prefix + key, kept[key]);
  localStorage.setItem("trio-chat.scheme", kept.scheme);
}
"""


@pytest.mark.parametrize("is_older", [False, True])
def test_what_the_browser_keeps_is_not_trusted(visit: Visit, is_older: bool) -> None:
    ada = visit()
    ada.come("ada")
    kept = {
        "rooms": json.dumps([TEXTS[1], 5, None]),
        "scheme": json.dumps('"><script>'),
        "draft.#lobby": json.dumps(TEXTS[0]),
        "last": json.dumps("#" + TEXTS[1]),
        "out.odd": "{not json",
    }
    ada.page.evaluate(_KEEP, [is_older, kept])
    ada.page.reload()
    ada.is_connected()
    expect(ada.get("#say")).to_have_value(TEXTS[0])
    is_only_text(ada)


def test_writing_is_not_turned_around(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    with Terminal(server, "אבג", "lobby") as hebrew:
        hebrew.say(TURNED, "(שלום)", f"/topic {TURNED}")
        ada.sees(
            "safe U+202Etxt.exeU+202C and U+2066isolatedU+2069",
            "(שלום)",
            "אבג changed the topic to safe U+202Etxt.exeU+202C and U+2066isolatedU+2069",
        )
        expect(ada.get("#topic")).to_have_text("safe U+202Etxt.exeU+202C and U+2066isolatedU+2069")
        expect(ada.get("#rows .turn").first).to_have_attribute("title", "Turns the writing around")
        # Each stands by itself: what is in it does not move what is beside it.
        texts = "#rows .line .text, #rows q > bdi"
        for selector, count in (("#rows .by", 2), (texts, 3), ("#people-list .name", 2)):
            nodes = ada.get(selector).all()
            assert len(nodes) == count
            for node in nodes:
                isolation = node.evaluate("node => getComputedStyle(node).unicodeBidi")
                assert isolation == ("plaintext" if node.get_attribute("dir") else "isolate")
                assert node.evaluate("node => getComputedStyle(node).direction") == node.evaluate(
                    "node => /[\\u0590-\\u05ff]/.test(node.textContent) ? 'rtl' : 'ltr'"
                )
        assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(ada.page.content())
