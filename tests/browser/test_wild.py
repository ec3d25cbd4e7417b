"""Chance has people do what people do, while their server and their connections come and go.

What is done follows from the seed, when it is done does not: a seed that fails once may hold the next time.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server
from tests.browser.visitor import BACK_MS, Visitor

STEPS = 50
ROOMS = ("lobby", "kitchen")
# Said by the browser itself: of a server that is not there or is killed, and of a network that is not.
EXPECTED = ("ERR_CONNECTION_", "ERR_EMPTY_RESPONSE", "ERR_INTERNET_DISCONNECTED")

_CUTTABLE = """
const Plain = WebSocket;
WebSocket = class extends Plain {
  constructor(url) {
    super(url);
    globalThis.cut = () => this.close();
  }
  set onmessage(hear) {
    super.onmessage = hear && ((event) => globalThis.deaf || hear(event));
  }
};
"""
# Faster than anybody types; returns in which place it was said, or nothing where it was not taken.
_SAY = """
(text) => {
  const say = document.querySelector("#say");
  if (document.querySelector("#app").hidden || say.disabled) return "";
  const place = say.placeholder;
  say.value = text;
  say.form.requestSubmit();
  return say.value ? "" : place;
}
"""
_ALL_SENT = "() => !Object.keys(localStorage).some(key => /^trio-chat.*[/]out[.]/.test(key))"


class Wild:
    """Somebody with two tabs and somebody with one, and what becomes of them."""

    def __init__(self, visit: Visit, server: Server, seed: int) -> None:
        self.chance = random.Random(seed)
        self.server = server
        self.runs = True
        self.typed: dict[tuple[str, str], list[str]] = defaultdict(list)
        """By author and room; a tab is an author."""
        self.count = 0
        self.tabs: dict[str, Visitor] = {}
        for name in ("ada", "bob"):
            visitor = visit()
            visitor.page.context.add_init_script(_CUTTABLE)
            for part in EXPECTED:
                visitor.watch.forgive(part)
            visitor.come(name)
            self.tabs[name] = visitor
        self.tabs["ada's other tab"] = self.tabs["ada"].another_tab()

    def something(self) -> None:
        """What comes next."""
        author = self.chance.choice(list(self.tabs))
        tab = self.tabs[author]
        what: list[tuple[int, Callable[[], object]]] = [
            (10, lambda: self.say(author, 1)),
            (5, lambda: self.say(author, 4)),
            (10, lambda: self.go_about(tab)),
            (2, lambda: self.command(tab, f"/nick {author[:3]}{self.chance.randrange(3)}")),
            (2, lambda: self.command(tab, f"/topic {self.count}")),
            (4, lambda: self.reload(tab)),
            (4, lambda: self.cut(author)),
            (2, lambda: self.kill(author)),
            (1, self.stop),
            (6, self.start),
            (2, lambda: self.unplug(tab)),
        ]
        weights, acts = zip(*what, strict=True)
        self.chance.choices(acts, weights)[0]()

    def say(self, author: str, lines: int) -> None:
        for _ in range(lines):
            self.count += 1
            text = f"{author}: {self.count}" + self.chance.choice(["", "\n\nand more", " long" * 300])
            place = self.command(self.tabs[author], self.chance.choice(["", "", "/me "]) + text)
            if place:
                self.typed[author, place.removeprefix("Message #")].append(text)

    def command(self, tab: Visitor, text: str) -> str:
        place = tab.page.evaluate(_SAY, text)
        assert isinstance(place, str)
        return place

    def go_about(self, tab: Visitor) -> None:
        """Into a room, or out of one and perhaps back at once; what is typed behind it is typed anywhere."""
        if self.chance.random() < 0.5:
            self.command(tab, "/leave")
        self.command(tab, f"/join {self.chance.choice(ROOMS)}")

    def reload(self, tab: Visitor) -> None:
        if self.runs:
            tab.page.context.set_offline(False)
            tab.page.reload()

    def cut(self, author: str) -> None:
        """The connection ends, and the answers to the last lines were not heard."""
        tab = self.tabs[author]
        tab.page.evaluate("globalThis.deaf = true")
        self.say(author, 2)
        tab.page.wait_for_timeout(self.chance.choice([0, 30]))
        tab.page.evaluate("globalThis.cut?.(); globalThis.deaf = false")

    def kill(self, author: str) -> None:
        """With something under way."""
        if self.runs:
            self.server.pause()
            self.say(author, 2)
            self.server.kill()
            self.runs = False

    def stop(self) -> None:
        if self.runs:
            self.server.stop()
            self.runs = False

    def start(self) -> None:
        if not self.runs:
            self.server.start()
            self.runs = True

    def unplug(self, tab: Visitor) -> None:
        """Or plug in again; of all tabs of that browser."""
        tab.page.context.set_offline(self.chance.random() < 0.5)

    def calm(self) -> None:
        """Everything works, and everybody has time."""
        self.start()
        for tab in self.tabs.values():
            tab.page.context.set_offline(False)
            tab.is_connected()
            tab.page.wait_for_function(_ALL_SENT, timeout=BACK_MS)

    @property
    def taken(self) -> int:
        """How many lines."""
        return sum(len(texts) for texts in self.typed.values())

    def shows(self, tab: Visitor, room: str, texts: list[str]) -> None:
        """All of a room stands there, in its order, and nothing that waits."""
        self.command(tab, f"/join {room}")
        expect(tab.get("#room-list [aria-current] .name")).to_have_text(room)
        expect(tab.get("#rows [data-seq]")).to_have_count(len(texts))
        expect(tab.get("#rows .fate")).to_have_count(0)
        assert tab.numbers() == list(range(1, len(texts) + 1))
        for shown, text in zip(tab.talk, texts, strict=True):
            assert shown.endswith(text), f"{shown} is not {text}"  # an action has its author before it
        tab.page.keyboard.press("Escape")  # from where the news begin to their end
        expect(tab.get("#room-list .has-unread [aria-current]")).to_have_count(0)


@pytest.mark.parametrize("seed", range(1, 3))
def test_whatever_happens_a_line_is_said_once_and_in_its_order(
    visit: Visit, server: Server, seed: int
) -> None:
    wild = Wild(visit, server, seed)
    for _ in range(STEPS):
        wild.something()
    wild.calm()
    said = server.texts()
    lines = [text for texts in said.values() for text in texts if ": " in text]
    assert len(lines) == wild.taken
    for (author, room), texts in wild.typed.items():
        assert [text for text in said[room] if text.startswith(f"{author}: ")] == texts
    for tab in wild.tabs.values():
        tab.page.bring_to_front()
        for room, texts in said.items():
            wild.shows(tab, room, texts)
        expect(tab.page).to_have_title(re.compile("^#"))  # no count before it: nothing is unread
