"""Somebody at a browser, and what the pages of a test must never do."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, expect

__all__ = ["Visitor", "Watch"]

BACK_MS = 45_000  # the longest pause of the page's back-off is 30 s

# A violation of the policy is told on the console, where the watch looks.
_TELL = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`against the policy: ${event.violatedDirective} ${event.blockedURI}`));
"""


class Watch:
    """Writes down what a page must not do: complain, ask, open others, or talk to anybody but its server."""

    def __init__(self, context: BrowserContext, host: str) -> None:
        self.found: list[str] = []
        self._host = host
        self._forgiven: list[str] = []
        context.add_init_script(_TELL)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.found.append(f"an error that nobody caught: {error.error}"))
        context.on("request", self._asked)
        context.on("page", self._opened)

    def forgive(self, part: str) -> None:
        """What has this in it is to be expected here."""
        self._forgiven.append(part)

    def faults(self) -> list[str]:
        """What was seen and not forgiven."""
        return [each for each in self.found if not any(part in each for part in self._forgiven)]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(f"{message.type} on the console: {message.text}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).netloc != self._host:
            self.found.append(f"a request to {request.url}")

    def _stopped(self, dialog: Dialog) -> None:
        self.found.append(f"a dialog of the browser: {dialog.message}")
        dialog.dismiss()

    def _opened(self, page: Page) -> None:
        page.on("dialog", self._stopped)
        if page.opener() is not None:
            self.found.append(f"a window opened: {page.url}")


class Visitor:
    """One page of somebody's browser, by what a person does and sees."""

    def __init__(self, page: Page, watch: Watch, address: str) -> None:
        self.page = page
        self.watch = watch
        self._address = address

    def come(self, name: str, room: str = "lobby") -> None:
        """Open the page and come in by this name."""
        self.open(room)
        self.call_me(name)
        expect(self.get("#you-name")).to_have_text(name)
        self.is_connected()

    def open(self, room: str = "") -> None:
        """Open the page, or follow a link to a room of it."""
        self.page.goto(f"{self._address}/#{quote(room, safe='@')}")

    def call_me(self, name: str) -> None:
        """Answer the card at the door."""
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Join").click()

    def another_tab(self) -> Visitor:
        """The same browser opens the page once more."""
        tab = Visitor(self.page.context.new_page(), self.watch, self._address)
        tab.open()
        tab.is_connected()
        return tab

    def is_connected(self) -> None:
        """Wait until the page is in touch with its server, or is again."""
        expect(self.get("#you-state")).to_have_text("connected", timeout=BACK_MS)

    def get(self, selector: str) -> Locator:
        """What is found by a selector of styles."""
        return self.page.locator(selector)

    def write(self, text: str) -> None:
        """Type into the composer, and leave it there."""
        self.get("#say").fill(text)

    def say(self, *texts: str) -> None:
        """Type so many messages, Enter behind each."""
        for text in texts:
            self.write(text)
            self.get("#say").press("Enter")

    def sees(self, *texts: str) -> None:
        """Wait until the talk consists of exactly these, in this order, and all of it is said."""
        expect(self.get("#rows .text")).to_have_text(list(texts), use_inner_text=True)
        expect(self.get("#rows .fate")).to_have_count(0)

    @property
    def talk(self) -> list[str]:
        """The texts that stand there now."""
        return self.get("#rows .text").all_inner_texts()

    def names(self, *names: str) -> None:
        """Wait until exactly these are here, oneself first."""
        expect(self.get("#people-list .name")).to_have_text(list(names))
        expect(self.get("#people-total")).to_have_text(str(len(names)))

    def places(self, *names: str) -> None:
        """Wait until these are the rooms on the left."""
        expect(self.get("#room-list .name")).to_have_text(list(names))

    def numbers(self) -> Sequence[int]:
        """The numbers of the entries that are in the document."""
        nodes = self.get("#rows [data-seq]").evaluate_all(
            "nodes => nodes.map(node => Number(node.dataset.seq))"
        )
        assert isinstance(nodes, list)
        return nodes
