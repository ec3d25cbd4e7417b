"""Each scanner of the page takes steps in proportion to the length of its text, whatever the text is.

The browser counts the steps: how often each block of the page's code has run. `steps/counter.js` adds what a
single call into the browser can read at most. No test here measures time.

The table of scanners is `steps/cases.js`. A new module of the page fails a test until it is in the table or
in `NO_SCANNERS` below. An exported function of a scanner fails a test until it is in the table, and so does a
private function of a pure module that no call of the table reaches. A regular expression anywhere in the page
fails a test if its form lets it read the same letters again and again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.sync_api import Browser, CDPSession, Page, Route

import trio_chat
from tests.browser.conftest import launch

pytestmark = pytest.mark.short

PAGE = Path(trio_chat.__file__).parent / "page"
STEPS = Path(__file__).parent / "steps"
ORIGIN = "http://127.0.0.1:9"  # every request is answered by the test
UNOPTIMIZED = "--js-flags=--no-opt --no-maglev"  # the browser does not count inlined functions
SHORT, LONG = 1_000, 4_000  # a text of a message has at most 4,096 bytes
GROWTH_MAX = 5  # for a text four times as long; a sort has 4.8, a square 16
FLOOR = 2_000  # steps that a long text may always take

SCANNERS = (
    *(
        "code.js",
        "commands.js",
        "events.js",
        "excerpt.js",
        "names.js",
        "autocomplete.js",
        "room.js",
        "rows.js",
    ),
    *("switcher.js", "text.js", "identity.js", "presence_log.js", "usable_name.js"),
)
# These modules draw, talk to the server or keep data; the texts they show have gone through a scanner.
NO_SCANNERS = (
    *("alerts.js", "backoff.js", "client.js", "composer.js", "connection.js", "dialogs.js", "dom.js"),
    *("sidebar_toggle.js", "header.js", "lines.js", "main.js", "namespace.js", "outbox.js", "member_list.js"),
    *(
        "questions.js",
        "reading.js",
        "scheme.js",
        "search.js",
        "sidebar.js",
        "speaker.js",
        "state.js",
        "storage.js",
    ),
    *("tab.js", "message_list.js", "direct_messages.js", "empty.js", "invite.js", "sign_in.js"),
    *("delays.js", "missed.js", "undo_leave.js"),
)
# Every function of these modules has to run. The others also have classes that draw or wait.
WHOLLY_PURE = (
    "code.js",
    "commands.js",
    "excerpt.js",
    "names.js",
    "rows.js",
    "text.js",
    "identity.js",
    "presence_log.js",
    "usable_name.js",
)

# A literal stands where a value can begin; a slash after a value divides.
_LITERAL = re.compile(
    r"(?:[(,=:\[!&|?{};+]|\breturn|\bof)\s*/(?![/*])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+)/([dgimsuvy]*)"
)
_NOT_LINEAR = (
    *((r"\s+$", "u"), ("a*b", ""), ("(a+)+", ""), ("a*b", "y"), ("^a*b*", ""), ("a{2,}b", ""), ("a|b*c", "")),
    *((r"(?<=^\/msg\s+)a", "u"), ("(a)\\1", ""), (r"^```[^`\n]*\n([^]*?)\n?^```", "mu")),
)


class Bench:
    """An empty page that loads modules, calls them and counts their steps."""

    def __init__(self, page: Page, session: CDPSession) -> None:
        self.page = page
        self.functions: dict[tuple[str, int], str] = {}
        """The functions of the loaded modules, by file and offset."""
        self.ran: set[tuple[str, int]] = set()
        self._session = session
        session.send("Profiler.enable")
        session.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": True})

    def run(self, script: str, *arguments: object) -> Any:
        """Call an async function of JavaScript."""
        return self.page.evaluate(script, list(arguments))

    def load(self) -> Self:
        """Load the table and what it imports, and note their functions."""
        self.page.goto(f"{ORIGIN}/blank")
        self.run("async () => { await import('/steps/cases.js'); await import('/steps/quadratic.js'); }")
        self.blocks()
        return self

    def blocks(self) -> int:
        """Return how many blocks of the modules have run since the last call."""
        total = 0
        for script in self._session.send("Profiler.takePreciseCoverage")["result"]:
            file = script["url"].removeprefix(ORIGIN)
            if not file.startswith(("/static/", "/steps/quadratic.js")):
                continue
            for function in script["functions"]:
                first = function["ranges"][0]
                place = (file.rpartition("/")[2], first["startOffset"])
                self.functions.setdefault(place, function["functionName"])
                if first["count"]:
                    self.ran.add(place)
                total += sum(block["count"] for block in function["ranges"])
        return total

    def steps(self, script: str, *arguments: object) -> int:
        """Return the steps of one call of `counted`."""
        made = self.run(script, *arguments)
        assert not made["fault"], f"{arguments}: {made['fault']}"
        return int(made["steps"]) + self.blocks()

    def growth(self, script: str, *arguments: object) -> str:
        """Return what is wrong with the steps for a text and one four times as long; empty if nothing is."""
        self.blocks()
        short, long = (self.steps(script, *arguments, n) for n in (SHORT, LONG))
        if long <= max(FLOOR, GROWTH_MAX * short):
            return ""
        return f"{short:,} steps for {SHORT:,} letters, {long:,} for {LONG:,}"


def _answer(route: Route) -> None:
    folder, _, name = route.request.url.removeprefix(f"{ORIGIN}/").rpartition("/")
    path = {"static": PAGE, "steps": STEPS}.get(folder, Path()) / name
    if name == "blank":
        route.fulfill(body="<!doctype html>", content_type="text/html")
    else:
        route.fulfill(body=path.read_text(), content_type="text/javascript")


@pytest.fixture(scope="module")
def bench(browser: Browser) -> Iterator[Bench]:
    with launch(browser.browser_type, UNOPTIMIZED) as counting, counting.new_context() as context:
        context.route("**/*", _answer)
        page = context.new_page()
        yield Bench(page, context.new_cdp_session(page)).load()


_CALLS = "async ([file]) => (await import('/steps/cases.js')).calls(file)"
_CALL = "async ([...call]) => (await import('/steps/cases.js')).call(...call)"
_MISSING = "async ([file]) => (await import('/steps/cases.js')).missing(file)"
_FILES = "async () => Object.keys((await import('/steps/cases.js')).CASES).sort()"
_KINDS = "async () => (await import('/steps/quadratic.js')).KINDS"
_QUADRATIC = "async ([...call]) => (await import('/steps/quadratic.js')).call(...call)"
_WIDTH = """
async ([...form]) => {
  const { width } = await import("/steps/counter.js");
  try { return width(...form) > 0 ? "" : "no width"; } catch (error) { return error.message; }
}
"""


@pytest.mark.parametrize("file", SCANNERS)
def test_steps_grow_with_the_length_of_a_text(bench: Bench, file: str) -> None:
    assert bench.run(_MISSING, file) == [], "exported, and not in the table"
    bench.ran.clear()
    calls = bench.run(_CALLS, file)
    faults = [
        f"{file}: {name} of {kind}: {fault}"
        for name, at, kind in calls
        if (fault := bench.growth(_CALL, file, name, at))
    ]
    assert not faults, "\n".join(faults)
    if file in WHOLLY_PURE:
        # The module itself is at offset 0 and ran when it was loaded.
        functions = {place: name for place, name in bench.functions.items() if place[0] == file and place[1]}
        unreached = [name for place, name in functions.items() if place not in bench.ran]
        assert functions and unreached == []


def test_every_module_of_the_page_is_classified(bench: Bench) -> None:
    assert bench.run(_FILES) == sorted(SCANNERS)
    assert sorted(path.name for path in PAGE.glob("*.js")) == sorted([*SCANNERS, *NO_SCANNERS])


def test_a_regular_expression_reads_no_letter_again_and_again(bench: Bench) -> None:
    found = 0
    for path in sorted(PAGE.glob("*.js")):
        text = path.read_text()
        for source, flags in _LITERAL.findall(text):
            found += 1
            assert bench.run(_WIDTH, source, flags) == "", path.name
        assert "new RegExp" not in text or path.name in SCANNERS, f"{path.name}: made while it runs"
    assert found > 10, "the literals were not found"


@pytest.mark.parametrize(("source", "flags"), _NOT_LINEAR)
def test_a_form_that_is_not_linear_is_refused(bench: Bench, source: str, flags: str) -> None:
    assert "not linear by its form" in bench.run(_WIDTH, source, flags)


def test_a_quadratic_scanner_is_seen(bench: Bench) -> None:
    """The same count that finds none in the page finds each kind of quadratic cost."""
    kinds = bench.run(_KINDS)
    assert len(kinds) == 9
    assert [kind for kind in kinds if not bench.growth(_QUADRATIC, kind)] == []
